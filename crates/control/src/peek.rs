use std::time::Duration;

use database::run::{About, NewRun};
use jiff::Timestamp;
use model::access::Permission;
use model::lsn::Lsn;
use model::peek::{LASTS, LONGEST, MOST_A_TENANT, PeekState, Point, ROLE, SHORTEST};
use model::{PeekId, WorkerId};
use protocol::api::{CreatedPeek, NewPeek, Page, Peek};
use protocol::internal::{PeekWork, Peeks, PeeksAnswer};
use serde_json::json;

use crate::matter::expect;
use crate::once::{Once, Queued};
use crate::{Asked, Control, Refusal, Result, Slice, secret};

/// Where a peek's run keeps what PostgreSQL stores of its password.
const VERIFIER: &str = "verifier";

/// Whoever looks is on its worker's host.
const HOST: &str = "127.0.0.1";

impl Control {
    /// Queues the making of a peek. Its password is told once, here: asked again
    /// under the same idempotency key, it is empty.
    pub async fn create_peek(&self, asked: &Asked, tenant: &str, new: NewPeek) -> Result<CreatedPeek> {
        let mut connection = self.database().await?;
        let tenant = crate::tenant::find(&connection, tenant).await?;
        let once = Once::new(asked, "peek", &tenant.id.to_string(), &new)?;
        if let Some(run) = once.before(&connection).await? {
            return made_before(&connection, &run).await;
        }
        self.permit_peek(&connection, &tenant, "peek into").await?;
        crate::snapshot::serves(&tenant)?;
        let seconds = lasts(new.seconds)?;
        let point = self.point(&connection, &tenant, &new).await?;
        let password = secret::random(32)?;
        let verifier = secret::postgres_verifier(&password).await?;
        let id = PeekId::new();
        let mut run = NewRun::new(tenant.project_id, About::Peek(tenant.id));
        run.payload = Some(json!({ VERIFIER: verifier }));
        let row = database::peek::New { id, tenant: tenant.id, run: run.id, point, seconds };
        let transaction = database::begin(&mut connection).await?;
        // Two who ask at once are counted one after the other.
        database::tenant::lock(&transaction, tenant.id).await?;
        let live = database::peek::live(&transaction, tenant.id).await?;
        if live >= MOST_A_TENANT as i64 {
            let detail = format!("{} has {live} peeks, as many as a tenant may have at once", tenant.name);
            return Err(Refusal::wrong_state(detail)
                .hint(format!("end one: `heddle tenant peek list {0}` shows them", tenant.name))
                .into());
        }
        match once.queue_run(&transaction, run).await? {
            Queued::New(_) => {
                database::peek::insert(&transaction, row).await?;
                database::commit(transaction).await?;
                self.queued();
                Ok(CreatedPeek { peek: shown(get(&connection, id).await?), password })
            }
            Queued::Before(run) => {
                drop(transaction);
                made_before(&connection, &run).await
            }
            Queued::Busy(kind) => Err(crate::run::busy(&tenant.name, kind)),
        }
    }

    /// A tenant's, newest first.
    pub async fn peeks(&self, tenant: &str, slice: &Slice<PeekId>) -> Result<Page<Peek>> {
        let database = self.database().await?;
        let tenant = crate::tenant::find(&database, tenant).await?;
        let peeks = database::peek::list(&database, tenant.id, slice.after, slice.rows()).await?;
        Ok(slice.page(peeks.into_iter().map(shown).collect(), |peek: &Peek| peek.id.to_string()))
    }

    pub async fn peek(&self, tenant: &str, peek: PeekId) -> Result<Peek> {
        let database = self.database().await?;
        let tenant = crate::tenant::find(&database, tenant).await?;
        Ok(shown(one_of(&database, &tenant, peek).await?))
    }

    /// Ends one before its time; one that is not open yet is not made. Its
    /// worker removes it within a moment, and it has ended then.
    pub async fn end_peek(&self, tenant: &str, peek: PeekId) -> Result<Peek> {
        let mut connection = self.database().await?;
        let tenant = crate::tenant::find(&connection, tenant).await?;
        self.permit_peek(&connection, &tenant, "end peeks into").await?;
        let transaction = database::begin(&mut connection).await?;
        let found = one_of(&transaction, &tenant, peek).await?;
        let (from, reason) = ([PeekState::Open], "somebody has ended it");
        let moved =
            database::peek::set_state(&transaction, found.id, &from, PeekState::Ending, reason).await?;
        if let database::Guarded::Found(PeekState::Opening) = moved {
            crate::run::cancel(&transaction, found.run_id, "it was ended before it was open").await?;
        }
        database::commit(transaction).await?;
        self.told();
        Ok(shown(get(&connection, peek).await?))
    }

    /// What becomes of the peeks on a worker's host.
    pub async fn keep_peeks(&self, worker: WorkerId, said: Peeks) -> Result<PeeksAnswer> {
        self.worker_seen(worker).await?;
        let database = self.database().await?;
        if !said.gone.is_empty() {
            database::peek::set_gone(&database, worker, &said.gone).await?;
        }
        let mut answer = PeeksAnswer::default();
        for (peek, state) in database::peek::of_worker(&database, worker).await? {
            match state {
                PeekState::Open => answer.open.push(peek),
                _ => answer.ending.push(peek),
            }
        }
        Ok(answer)
    }

    /// Reading all that a database holds takes more than a snapshot or a
    /// restore, which show nothing of it.
    async fn permit_peek(
        &self,
        on: &impl database::On,
        tenant: &database::tenant::Tenant,
        verb: &str,
    ) -> Result<()> {
        let (environment, place) = (tenant.environment_id, &tenant.environment);
        let what = format!("{verb} {}", tenant.name);
        self.permit_in(on, environment, place, Permission::Develop, &what).await
    }

    async fn point(
        &self,
        on: &impl database::On,
        tenant: &database::tenant::Tenant,
        new: &NewPeek,
    ) -> Result<Point> {
        Ok(match (&new.snapshot, new.at, &new.lsn) {
            (None, None, None) => Point::Latest,
            (Some(snapshot), None, None) => {
                let snapshot = crate::snapshot::find(on, tenant, snapshot).await?;
                crate::snapshot::readable(&snapshot)?;
                Point::Snapshot(snapshot.id)
            }
            (None, Some(at), None) => {
                let now = database::clock::now(on).await?;
                self.check_time(tenant, at, now)?;
                Point::Time(at)
            }
            (None, None, Some(lsn)) => Point::Lsn(lsn.parse::<Lsn>().map_err(|error| {
                Refusal::invalid(error.to_string())
                    .hint("a position is written as PostgreSQL does: 0/3000148")
            })?),
            _ => {
                return Err(Refusal::invalid("a peek shows one state: a snapshot, a time or a position")
                    .hint("name one of them, or none for the newest state")
                    .into());
            }
        })
    }
}

/// How long it is to last, in seconds.
fn lasts(asked: Option<u32>) -> Result<i32, Refusal> {
    let asked = asked.map_or(LASTS, |seconds| Duration::from_secs(seconds.into()));
    if !(SHORTEST..=LONGEST).contains(&asked) {
        let detail = format!("{} s are not {} s to a day", asked.as_secs(), SHORTEST.as_secs());
        return Err(Refusal::invalid(detail).hint("a peek is looked into for a while; ask for another one"));
    }
    Ok(i32::try_from(asked.as_secs()).unwrap_or(i32::MAX))
}

/// What its run is to do.
pub(crate) fn work(peek: &database::peek::Peek, payload: &serde_json::Value) -> Result<PeekWork> {
    if !matches!(peek.state, PeekState::Opening | PeekState::Open) {
        let detail = format!("the peek is {}: its worker was lost when it was open", peek.state);
        return Err(Refusal::wrong_state(detail).hint("ask for another one").into());
    }
    let verifier = payload.get(VERIFIER).and_then(|text| text.as_str());
    let verifier = verifier.ok_or_else(|| Refusal::not_found("password of the peek", peek.id))?;
    Ok(PeekWork {
        peek: peek.id,
        point: peek.point,
        seconds: u32::try_from(peek.seconds).unwrap_or_default(),
        verifier: verifier.to_owned(),
        opened: peek.state == PeekState::Open,
    })
}

/// Commits that it can be connected to.
pub(crate) async fn opened(
    on: &impl database::On,
    held: &database::lease::Held,
    peek: PeekId,
    port: u16,
) -> Result<()> {
    let found = of_run(on, held.run).await?;
    if found.id != peek {
        return Err(Refusal::invalid("the fact is not about what its run is about").into());
    }
    // Archived meanwhile, it is not looked into any more.
    crate::snapshot::serves(&crate::tenant::get(on, found.tenant_id).await?)?;
    match database::peek::set_open(on, peek, held.worker, port).await? {
        database::Guarded::Found(PeekState::Open) if found.port == Some(port.into()) => Ok(()),
        other => expect(other, "peek"),
    }
}

/// The one that a run makes.
pub(crate) async fn of_run(on: &impl database::On, run: model::RunId) -> Result<database::peek::Peek> {
    let missing = || Refusal::not_found("peek of the run", run).into();
    database::peek::of_run(on, run).await?.ok_or_else(missing)
}

async fn one_of(
    on: &impl database::On,
    tenant: &database::tenant::Tenant,
    peek: PeekId,
) -> Result<database::peek::Peek> {
    let found = database::peek::get(on, peek).await?.filter(|found| found.tenant_id == tenant.id);
    let missing = || Refusal::not_found("peek", peek);
    let hint = format!("`heddle tenant peek list {}` shows them", tenant.name);
    found.ok_or_else(|| missing().hint(hint).into())
}

async fn get(on: &impl database::On, peek: PeekId) -> Result<database::peek::Peek> {
    database::peek::get(on, peek).await?.ok_or_else(|| Refusal::not_found("peek", peek).into())
}

async fn made_before(on: &impl database::On, run: &database::run::Run) -> Result<CreatedPeek> {
    Ok(CreatedPeek { peek: shown(of_run(on, run.id).await?), password: String::new() })
}

fn shown(peek: database::peek::Peek) -> Peek {
    let (at, lsn): (Option<Timestamp>, Option<String>) = match peek.point {
        Point::Time(at) => (Some(at), None),
        Point::Lsn(lsn) => (None, Some(lsn.to_string())),
        Point::Snapshot(_) | Point::Latest => (None, None),
    };
    Peek {
        id: peek.id.0,
        tenant: peek.tenant,
        state: peek.state,
        snapshot: peek.snapshot,
        at,
        lsn,
        seconds: u32::try_from(peek.seconds).unwrap_or_default(),
        worker: peek.worker,
        host: peek.port.map(|_| HOST.to_owned()),
        port: peek.port.and_then(|port| u16::try_from(port).ok()),
        database: peek.database,
        user: ROLE.to_owned(),
        reason: peek.reason,
        run: peek.run_id.0,
        created_at: peek.created_at,
        opened_at: peek.opened_at,
        expires_at: peek.expires_at,
        ended_at: peek.ended_at,
    }
}
