//! The chain finds whatever somebody with every right on the database changes.

use std::collections::BTreeMap;
use std::path::PathBuf;

use control::reconcile::audit;
use control::{
    AuditFilter, AuditKey, Control, FindingKind, PLATFORM, Principal, Settings, Slice, Verified, Verifier,
};
use model::run::RunKind;
use protocol::api::NewProject;
use protocol::audit::{AuditHead, AuditLine, AuditRow};
use protocol::internal::Outcome;
use tokio_postgres::Client;
use uuid::Uuid;

use crate::platform::{Platform, asked, new_tenant};

/// A platform with a tenant's life written down in it.
struct Sealed {
    platform: Platform,
    admin: Client,
    key: AuditKey,
    project: Uuid,
}

impl Sealed {
    async fn new() -> Self {
        Self::with(None).await
    }

    async fn with(audit_heads: Option<PathBuf>) -> Self {
        let key = AuditKey::parse(&AuditKey::draw().unwrap()).unwrap();
        let settings = Settings { audit_key: Some(key.clone()), audit_heads, ..Settings::default() };
        let platform = Platform::with(settings).await;
        platform.environment().await;
        let admin = platform.scratch.admin().await;
        assert!(seal(&platform.control, &admin).await > 5);
        let served = platform.tenant("acme").await;
        platform.snapshot("acme", &served, "before").await;
        seal(&platform.control, &admin).await;
        platform.snapshot("acme", &served, "after").await;
        seal(&platform.control, &admin).await;
        let project = platform.control.project("demo").await.unwrap().id;
        // Whoever has every right can also switch off what refuses.
        admin
            .batch_execute(
                "ALTER TABLE ops.audit DISABLE TRIGGER ALL; ALTER TABLE ops.audit_blocks DISABLE TRIGGER ALL",
            )
            .await
            .unwrap();
        Self { platform, admin, key, project }
    }

    async fn sql(&self, sql: &str) -> u64 {
        self.admin.execute(sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"))
    }

    async fn verify(&self) -> Verified {
        self.verify_with("demo", &[]).await
    }

    async fn verify_with(&self, chain: &str, kept: &[AuditHead]) -> Verified {
        let project = (chain == "demo").then_some(self.project);
        verify(&self.platform.control, chain, Verifier::new(project, &[self.key.public()], kept)).await
    }

    /// The ids of the chain's rows.
    async fn ids(&self) -> Vec<i64> {
        let sql = "SELECT id FROM ops.audit WHERE project_id = $1 ORDER BY id";
        self.admin.query(sql, &[&self.project]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    async fn head(&self) -> AuditHead {
        let chains = self.platform.control.audit_chains().await.unwrap();
        chains
            .items
            .into_iter()
            .map(|chain| chain.head)
            .find(|head| head.project == Some(self.project))
            .unwrap()
    }
}

/// Until all is sealed that is there: other tests' transactions on the same
/// server may be in the way. How many rows it were.
async fn seal(control: &Control, admin: &Client) -> u64 {
    let mut rows = 0;
    loop {
        rows += audit::tick(control).await.unwrap().rows;
        if unsealed(admin).await == 0 {
            return rows;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

async fn unsealed(admin: &Client) -> i64 {
    let sql = "SELECT count(*) FROM ops.audit WHERE id > (SELECT sealed FROM ops.audit_horizon)";
    admin.query_one(sql, &[]).await.unwrap().get(0)
}

async fn verify(control: &Control, chain: &str, mut verifier: Verifier) -> Verified {
    let mut after = 0;
    loop {
        let page = control.audit_blocks(chain, after).await.unwrap();
        for sealed in &page.items {
            verifier.block(&sealed.block, &sealed.rows);
            after = sealed.block.head.block;
        }
        verifier.strays(&page.strays);
        if !page.more {
            return verifier.end(page.unsealed);
        }
    }
}

/// Kinds and rows of what was found.
fn found(verified: &Verified) -> Vec<(FindingKind, Option<i64>)> {
    verified.findings.iter().map(|finding| (finding.kind, finding.row)).collect()
}

#[tokio::test]
async fn an_untouched_chain_is_sound() {
    let sealed = Sealed::new().await;
    let verified = sealed.verify().await;
    assert!(verified.sound(), "{verified:?}");
    assert_eq!((verified.blocks, verified.unsealed), (3, 0));
    assert_eq!(verified.rows, sealed.ids().await.len() as i64);
    assert_eq!(verified.key, Some(sealed.key.public()));
    let other = sealed.verify_with(PLATFORM, &[]).await;
    assert!(other.sound() && other.rows > 0, "{other:?}");
    // What comes later waits, and then goes on from there.
    let kept = sealed.head().await;
    sealed.platform.control.suspend_tenant("acme").await.unwrap();
    let waiting = sealed.verify().await;
    assert!(waiting.sound() && waiting.unsealed > 0, "{waiting:?}");
    assert!(seal(&sealed.platform.control, &sealed.admin).await > 0);
    assert_eq!(audit::tick(&sealed.platform.control).await.unwrap(), audit::Outcome::default());
    let grown = sealed.verify_with("demo", &[kept]).await;
    assert!(grown.sound() && grown.unsealed == 0 && grown.rows > verified.rows, "{grown:?}");
}

#[tokio::test]
async fn a_change_of_any_column_is_found_by_its_row() {
    let sealed = Sealed::new().await;
    let ids = sealed.ids().await;
    let columns: Vec<String> = sealed
        .admin
        .query(
            "SELECT column_name::text FROM information_schema.columns
             WHERE table_schema = 'ops' AND table_name = 'audit' AND column_name <> 'id'",
            &[],
        )
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    assert!(columns.len() >= 10);
    sealed.sql("CREATE TABLE public.kept AS SELECT * FROM ops.audit").await;
    let mut tried = BTreeMap::new();
    for column in &columns {
        let changes: &[&str] = match &**column {
            "at" => &["at + interval '1 microsecond'", "'infinity'", "'-infinity'"],
            "project_id" => &["NULL", "gen_random_uuid()"],
            "run_id" => &["CASE WHEN run_id IS NULL THEN gen_random_uuid() END"],
            "subjects" => &["subjects || gen_random_uuid()", "'{}'", "ARRAY[NULL]::uuid[]"],
            "detail" => &["detail || '{\"state\": \"quiet\"}'", "'{}'", "'[1e999]'", "'null'"],
            "address" | "request" => &["COALESCE(x || 'x', '')"],
            _ => &["x || 'x'", "''"],
        };
        for change in changes {
            for id in [ids[0], ids[ids.len() / 2], ids[ids.len() - 1]] {
                let change = change.replace('x', column);
                let sql = format!("UPDATE ops.audit SET {column} = {change} WHERE id = {id}");
                assert_eq!(sealed.sql(&sql).await, 1);
                let verified = sealed.verify().await;
                // In another project, it is not there.
                let gone = [(FindingKind::Removed, Some(id))];
                let changed = [(FindingKind::Changed, Some(id))];
                let expected = if column == "project_id" { gone } else { changed };
                assert_eq!(found(&verified), expected, "{sql}");
                let back = format!(
                    "UPDATE ops.audit a SET {column} = k.{column} FROM public.kept k WHERE k.id = a.id AND a.id = {id}"
                );
                sealed.sql(&back).await;
                *tried.entry(column.clone()).or_insert(0) += 1;
            }
        }
    }
    assert!(sealed.verify().await.sound());
    let count: u32 = tried.values().sum();
    println!("{count} changes of {} columns, each found by its row: {tried:?}", columns.len());
    assert!(count >= 60, "{tried:?}");
}

#[tokio::test]
async fn rows_that_were_removed_inserted_or_moved_are_found() {
    let sealed = Sealed::new().await;
    let ids = sealed.ids().await;
    sealed.sql("CREATE TABLE public.kept AS SELECT * FROM ops.audit").await;
    let mut tried = 0;
    for id in &ids {
        sealed.sql(&format!("DELETE FROM ops.audit WHERE id = {id}")).await;
        assert_eq!(found(&sealed.verify().await), [(FindingKind::Removed, Some(*id))]);
        let back = "INSERT INTO ops.audit OVERRIDING SYSTEM VALUE SELECT * FROM public.kept WHERE id =";
        sealed.sql(&format!("{back} {id}")).await;
        tried += 1;
    }
    // An id that nothing has: of another chain's row, or of nothing that was committed.
    let copy = |id: i64| {
        format!(
            "INSERT INTO ops.audit OVERRIDING SYSTEM VALUE
             SELECT {id}, at, project_id, actor, via, address, request, run_id, act, subjects, detail
             FROM public.kept WHERE id = {}",
            ids[1]
        )
    };
    let last: i64 = sealed.admin.query_one("SELECT max(id) FROM ops.audit", &[]).await.unwrap().get(0);
    let taken: Vec<i64> = sealed
        .admin
        .query("SELECT id FROM ops.audit ORDER BY id", &[])
        .await
        .unwrap()
        .iter()
        .map(|row| row.get(0))
        .collect();
    let free: Vec<i64> = (1..last).filter(|id| !taken.contains(id)).chain([0, -5]).collect();
    for id in free {
        sealed.sql(&copy(id)).await;
        assert_eq!(found(&sealed.verify().await), [(FindingKind::Inserted, Some(id))]);
        sealed.sql(&format!("DELETE FROM ops.audit WHERE id = {id}")).await;
        tried += 1;
    }
    // Two that change places.
    sealed.sql("ALTER TABLE ops.audit ALTER id SET GENERATED BY DEFAULT").await;
    for pair in ids.windows(2) {
        let swap = |one: i64, other: i64| format!("UPDATE ops.audit SET id = {other} WHERE id = {one}");
        for sql in [swap(pair[0], -1), swap(pair[1], pair[0]), swap(-1, pair[1])] {
            sealed.sql(&sql).await;
        }
        let verified = sealed.verify().await;
        let expected = [(FindingKind::Changed, Some(pair[0])), (FindingKind::Changed, Some(pair[1]))];
        assert_eq!(found(&verified), expected);
        for sql in [swap(pair[0], -1), swap(pair[1], pair[0]), swap(-1, pair[1])] {
            sealed.sql(&sql).await;
        }
        tried += 1;
    }
    assert!(sealed.verify().await.sound());
    println!("{tried} rows removed, inserted or swapped, each found");
    assert!(tried > 50);
}

#[tokio::test]
async fn seals_that_were_changed_are_found() {
    let sealed = Sealed::new().await;
    sealed.sql("CREATE TABLE public.kept AS SELECT * FROM ops.audit_blocks").await;
    let chain = sealed.project;
    let mut tried = 0;
    for column in [
        "number = 99",
        "after = after + 1",
        "through = through + 1000",
        "ids = ARRAY[1] || ids[2:]",
        "ids = ids[2:1] || ids[2] || ids[1] || ids[3:]",
        "ids = ids[2:], hashes = substr(hashes, 33)",
        "hashes = set_byte(hashes, 40, get_byte(hashes, 40) # 1)",
        "rows = rows + 1",
        "previous = set_byte(previous, 0, get_byte(previous, 0) # 1)",
        "hash = set_byte(hash, 0, get_byte(hash, 0) # 1)",
        "sealed_at = sealed_at + interval '1 microsecond'",
        "sealed_at = 'infinity'",
        "key = set_byte(key, 0, get_byte(key, 0) # 1)",
        "signature = set_byte(signature, 0, get_byte(signature, 0) # 1)",
        "chain = '00000000-0000-0000-0000-00000000000f'",
    ] {
        for number in 1..=3 {
            let sql =
                format!("UPDATE ops.audit_blocks SET {column} WHERE chain = '{chain}' AND number = {number}");
            assert_eq!(sealed.sql(&sql).await, 1);
            let verified = sealed.verify().await;
            let (alone, last) = (column.starts_with("chain"), number == 3);
            assert!(!verified.sound(), "{sql}");
            // The last one taken away, its rows are there without a seal.
            assert!(
                !(alone && last) || verified.findings.iter().all(|one| one.kind == FindingKind::Inserted)
            );
            tried += 1;
            sealed.sql("DELETE FROM ops.audit_blocks").await;
            sealed.sql("INSERT INTO ops.audit_blocks SELECT * FROM public.kept").await;
        }
    }
    assert!(sealed.verify().await.sound());
    println!("{tried} changes of blocks, each found");
}

/// Rows and seals made anew, as well as one can without the key, and with another.
#[tokio::test]
async fn a_chain_that_was_sealed_anew_is_found() {
    let sealed = Sealed::new().await;
    let kept = sealed.head().await;
    let ids = sealed.ids().await;
    let chain = sealed.project;
    let changed = format!("UPDATE ops.audit SET actor = 'user:nobody' WHERE id = {}", ids[3]);
    sealed.sql(&changed).await;
    sealed.sql(&format!("DELETE FROM ops.audit_blocks WHERE chain = '{chain}'")).await;
    sealed.sql("UPDATE ops.audit_horizon SET sealed = 0, marked = 0").await;
    // By another key: of a control that is not ours.
    let other = AuditKey::parse(&AuditKey::draw().unwrap()).unwrap();
    let settings = Settings { audit_key: Some(other.clone()), ..Settings::default() };
    let forger = Control::connect(&sealed.platform.scratch.url(), settings).await.unwrap();
    assert!(seal(&forger, &sealed.admin).await >= ids.len() as u64);
    let verified = sealed.verify().await;
    assert_eq!(found(&verified), [(FindingKind::Signature, None)]);
    assert!(verified.findings[0].what.contains(&other.public()), "{verified:?}");
    // The right signature, of another head.
    let copied = format!(
        "UPDATE ops.audit_blocks SET key = decode('{}', 'hex'), signature = decode('{}', 'hex')",
        kept.key, kept.signature
    );
    sealed.sql(&format!("{copied} WHERE chain = '{chain}'")).await;
    assert_eq!(found(&sealed.verify().await), [(FindingKind::Signature, None)]);
    // Control itself is made to seal it: whoever kept a head finds out.
    sealed.sql(&format!("DELETE FROM ops.audit_blocks WHERE chain = '{chain}'")).await;
    sealed.sql("UPDATE ops.audit_horizon SET sealed = 0, marked = 0").await;
    seal(&sealed.platform.control, &sealed.admin).await;
    assert!(sealed.verify().await.sound());
    let verified = sealed.verify_with("demo", std::slice::from_ref(&kept)).await;
    assert_eq!(found(&verified), [(FindingKind::Replaced, ids.last().copied())]);
}

#[tokio::test]
async fn a_tail_that_was_cut_off_is_found_by_a_head_kept_elsewhere() {
    let sealed = Sealed::new().await;
    let kept = sealed.head().await;
    let ids = sealed.ids().await;
    let chain = sealed.project;
    let cut = sealed.platform.control.audit_blocks("demo", 1).await.unwrap().items[0].block.head.after;
    // The rows alone: each is named.
    sealed.sql("CREATE TABLE public.kept AS SELECT * FROM ops.audit").await;
    sealed.sql(&format!("DELETE FROM ops.audit WHERE project_id = '{chain}' AND id > {cut}")).await;
    let gone: Vec<_> =
        ids.iter().filter(|id| **id > cut).map(|id| (FindingKind::Removed, Some(*id))).collect();
    assert!(gone.len() > 5);
    assert_eq!(found(&sealed.verify().await), gone);
    // Their seals too: a whole chain, and a shorter one.
    sealed.sql(&format!("DELETE FROM ops.audit_blocks WHERE chain = '{chain}' AND number > 1")).await;
    assert!(sealed.verify().await.sound());
    let verified = sealed.verify_with("demo", std::slice::from_ref(&kept)).await;
    assert_eq!(found(&verified), [(FindingKind::CutOff, None)]);
    assert!(verified.findings[0].what.contains(&format!("it had {} rows", kept.rows)), "{verified:?}");
    // A head that was made up is none.
    let made_up = AuditHead { rows: kept.rows + 1, ..kept };
    let verified = sealed.verify_with("demo", &[made_up]).await;
    assert_eq!(found(&verified), [(FindingKind::Signature, None)]);
}

/// Control does not lend its key to whoever turns the chain back.
#[tokio::test]
async fn control_seals_nothing_onto_a_chain_that_was_turned_back() {
    let folder = std::env::temp_dir().join(format!("heddle-heads-{}", Uuid::new_v4()));
    std::fs::create_dir(&folder).unwrap();
    let heads = folder.join("audit-heads.jsonl");
    let sealed = Sealed::with(Some(heads.clone())).await;
    let control = &sealed.platform.control;
    let ids = sealed.ids().await;
    let chain = sealed.project;
    assert_eq!(std::fs::read_to_string(&heads).unwrap().lines().count(), 2);
    sealed.sql(&format!("UPDATE ops.audit SET actor = 'user:nobody' WHERE id = {}", ids[3])).await;
    sealed.sql(&format!("DELETE FROM ops.audit_blocks WHERE chain = '{chain}'")).await;
    sealed.sql("UPDATE ops.audit_horizon SET sealed = 0, marked = 0").await;
    let refused = loop {
        match audit::tick(control).await {
            Ok(_) => assert!(unsealed(&sealed.admin).await > 0),
            Err(error) => break error.to_string(),
        }
    };
    assert!(refused.contains("is not what was signed up to block 3"), "{refused}");
    let sql = "SELECT count(*) FROM ops.audit_blocks WHERE chain = $1";
    let made: i64 = sealed.admin.query_one(sql, &[&chain]).await.unwrap().get(0);
    assert_eq!(made, 0);
    // Whoever restored the database says so.
    std::fs::remove_file(&heads).unwrap();
    assert!(seal(control, &sealed.admin).await > 0);
    std::fs::remove_dir_all(&folder).unwrap();
}

/// Nothing is sealed while a row with a smaller id may still come.
#[tokio::test]
async fn a_slow_transaction_keeps_its_place() {
    let sealed = Sealed::new().await;
    let control = &sealed.platform.control;
    let mut slow = sealed.platform.scratch.control().await;
    let transaction = slow.transaction().await.unwrap();
    transaction.execute("UPDATE ops.tenants SET max_users = 11", &[]).await.unwrap();
    control.create_project(&asked(), NewProject { name: "quick".into() }).await.unwrap();
    for _ in 0..3 {
        assert_eq!(audit::tick(control).await.unwrap(), audit::Outcome::default());
    }
    assert_eq!(unsealed(&sealed.admin).await, 1);
    transaction.commit().await.unwrap();
    assert_eq!(seal(control, &sealed.admin).await, 2);
    assert!(sealed.verify().await.sound());
}

#[tokio::test]
async fn many_controls_seal_one_chain() {
    let sealed = Sealed::new().await;
    let settings = Settings { audit_key: Some(sealed.key.clone()), ..Settings::default() };
    let other = Control::connect(&sealed.platform.scratch.url(), settings).await.unwrap();
    let control = &sealed.platform.control;
    for _ in 0..20 {
        let change = async {
            control.suspend_tenant("acme").await.unwrap();
            control.resume_tenant("acme").await.unwrap();
        };
        let (one, two, ()) = tokio::join!(audit::tick(control), audit::tick(&other), change);
        one.unwrap();
        two.unwrap();
    }
    seal(&other, &sealed.admin).await;
    let verified = sealed.verify().await;
    assert!(verified.sound() && verified.unsealed == 0, "{verified:?}");
    assert!(verified.blocks > 5, "{verified:?}");
}

/// From who asked, over the run, to what it made.
#[tokio::test]
async fn a_run_leads_to_what_it_made() {
    let sealed = Sealed::new().await;
    let control = &sealed.platform.control;
    control.create_tenant(&asked(), new_tenant("other")).await.unwrap();
    let claimed = sealed.platform.claim(RunKind::Provision).await;
    let (placed, lineage) = sealed.platform.cell(&claimed, None).await;
    sealed.platform.backup(&claimed, &lineage).await;
    let tenant = claimed.tenant.unwrap();
    let fact = protocol::internal::Fact::TenantProvisioned { tenant, placed };
    sealed.platform.record(&claimed, fact).await.unwrap();
    sealed.platform.finish(&claimed, Outcome::Succeeded).await.unwrap();
    let about = |subject: Uuid| AuditFilter { subject: Some(subject.to_string()), ..AuditFilter::default() };
    let acts = async |filter: AuditFilter| -> Vec<(String, Option<Uuid>)> {
        let rows = control.audit(&filter, &Slice::first()).await.unwrap().items;
        rows.into_iter().rev().map(|row| (row.act, row.run)).collect()
    };
    let run = claimed.run.0;
    let of_run = acts(about(run)).await;
    let names: Vec<&str> = of_run.iter().map(|(act, _)| &**act).collect();
    for made in ["clusters.created", "lineages.created", "tenant_databases.created", "base_backups.created"] {
        assert!(of_run.contains(&(made.to_owned(), Some(run))), "{made}: {of_run:?}");
    }
    assert_eq!((names.first(), names.last()), (Some(&"runs.created"), Some(&"runs.changed")), "{names:?}");
    // The deployment: what the tenant serves from now on.
    let of_tenant = acts(about(tenant.0)).await;
    assert!(of_tenant.contains(&("tenants.changed".to_owned(), Some(run))), "{of_tenant:?}");
    assert!(of_tenant.iter().any(|(act, _)| act == "runs.created"), "{of_tenant:?}");
    let by_name = AuditFilter { subject: Some("other".into()), ..AuditFilter::default() };
    assert_eq!(acts(by_name).await.len(), of_tenant.len());
}

#[tokio::test]
async fn filters_and_pages() {
    let sealed = Sealed::new().await;
    let control = &sealed.platform.control;
    let all = AuditFilter::default();
    let of = async |filter: AuditFilter| control.audit(&filter, &Slice::first()).await.unwrap().items;
    let rows = of(all.clone()).await;
    assert!(rows.windows(2).all(|pair| pair[0].id > pair[1].id));
    assert!(rows.iter().any(|row| row.project_name.as_deref() == Some("demo")));
    let demo = of(AuditFilter { project: Some("demo".into()), ..all.clone() }).await;
    let none = of(AuditFilter { project: Some(PLATFORM.into()), ..all.clone() }).await;
    assert_eq!(demo.len() + none.len(), rows.len());
    assert!(demo.len() > 5 && none.iter().all(|row| row.project.is_none()));
    let snapshots = of(AuditFilter { act: Some("snapshots".into()), ..all.clone() }).await;
    assert_eq!(snapshots.len(), 4);
    let made = of(AuditFilter { act: Some("snapshots.created".into()), ..all.clone() }).await;
    assert_eq!(made.len(), 2);
    let since = Some(rows[0].at);
    assert!(of(AuditFilter { since, ..all.clone() }).await.len() < rows.len());
    let (mut paged, mut slice) = (Vec::new(), Slice { after: None, limit: 7 });
    loop {
        let page = control.audit(&all, &slice).await.unwrap();
        assert!(page.items.len() <= 7);
        paged.extend(page.items);
        let Some(next) = page.next else { break };
        slice.after = Some(next.parse().unwrap());
    }
    assert_eq!(paged, rows);
}

/// What was exported is checked without a Heddle.
#[tokio::test]
async fn an_exported_chain_is_checked_line_by_line() {
    let sealed = Sealed::new().await;
    let page = sealed.platform.control.audit_blocks("demo", 0).await.unwrap();
    assert!(!page.more);
    let head = page.items.last().unwrap().block.head.clone();
    let mut lines = Vec::new();
    for part in page.items {
        lines.push(AuditLine::Block(part.block));
        lines.extend(part.rows.into_iter().map(AuditLine::Row));
    }
    lines.push(AuditLine::Head(head.clone()));
    let lines: Vec<String> = lines.iter().map(|line| serde_json::to_string(line).unwrap()).collect();
    let keys = [sealed.key.public()];
    let check = |lines: &[String], keys: &[String], kept: &[AuditHead]| {
        Verifier::export(lines.iter().cloned().map(Ok), keys, kept).unwrap()
    };
    let whole = check(&lines, &keys, std::slice::from_ref(&head));
    assert!(whole.sound() && whole.rows == head.rows && whole.project == Some(sealed.project), "{whole:?}");
    assert!(check(&lines, &[], &[]).sound());
    let other = AuditKey::parse(&AuditKey::draw().unwrap()).unwrap().public();
    assert_eq!(check(&lines, &[other], &[]).findings.len(), 3);
    let is_row = |line: &String| line.starts_with("{\"row\"");
    let mut tried = 0;
    for (place, line) in lines.iter().enumerate() {
        let mut without = lines.clone();
        without.remove(place);
        let verified = check(&without, &keys, &[]);
        assert!(!verified.sound(), "line {place} was removed");
        let mut moved = lines.clone();
        if is_row(line) && is_row(&lines[place + 1]) {
            assert_eq!(found(&verified).len(), 1);
            assert_eq!(verified.findings[0].kind, FindingKind::Removed);
            moved.swap(place, place + 1);
            assert_eq!(check(&moved, &keys, &[]).findings[0].kind, FindingKind::Reordered, "line {place}");
        }
        let mut twice = lines.clone();
        twice.insert(place, line.clone());
        assert!(place + 1 == lines.len() || !check(&twice, &keys, &[]).sound(), "line {place} twice");
        for (from, to) in [("\"0", "\"1"), ("a", "b"), ("1", "2"), ("\"", "")] {
            let mut changed = lines.clone();
            changed[place] = line.replacen(from, to, 1);
            assert!(changed[place] == *line || !check(&changed, &keys, &[]).sound(), "{}", changed[place]);
            tried += 1;
        }
        if place > 0 {
            let cut = check(&lines[..place], &keys, std::slice::from_ref(&head));
            assert!(cut.findings.iter().any(|one| one.kind == FindingKind::CutOff), "{cut:?}");
        }
    }
    assert!(!check(&[], &keys, &[]).sound());
    println!("{tried} changes of {} lines, each found", lines.len());
}

/// People read the chains of what they administer, and operators everything.
#[tokio::test]
async fn who_reads_what() {
    let sealed = Sealed::new().await;
    let control = &sealed.platform.control;
    control.create_project(&asked(), NewProject { name: "theirs".into() }).await.unwrap();
    sealed
        .admin
        .batch_execute(
            "INSERT INTO ops.users (id, login, operator) VALUES
                 ('00000000-0000-7000-8000-000000000001', 'operator', true),
                 ('00000000-0000-7000-8000-000000000002', 'admin', false),
                 ('00000000-0000-7000-8000-000000000003', 'developer', false),
                 ('00000000-0000-7000-8000-000000000004', 'stranger', false);
             INSERT INTO ops.project_members (project_id, user_id, role)
             SELECT p.id, u.id, u.login FROM ops.projects p, ops.users u
             WHERE p.name = 'demo' AND u.login IN ('admin', 'developer')",
        )
        .await
        .unwrap();
    seal(control, &sealed.admin).await;
    let acting = |number: u128| {
        let user = model::UserId(Uuid::from_u128(0x7000_8000_0000_0000_0000 + number));
        let principal = Principal::user(user).from(Some("192.0.2.1".into()), Some("r-1".into()));
        control.acting_as(&principal)
    };
    let rows = async |control: &Control| -> Vec<AuditRow> {
        control.audit(&AuditFilter::default(), &Slice::first()).await.unwrap().items
    };
    let (operator, admin, developer, stranger) = (acting(1), acting(2), acting(3), acting(4));
    let all = rows(control).await;
    assert_eq!(rows(&operator).await.len(), all.len());
    assert_eq!(operator.audit_chains().await.unwrap().items.len(), 3);
    let of_demo = all.iter().filter(|row| row.project == Some(sealed.project)).count();
    let seen = rows(&admin).await;
    assert_eq!(seen.len(), of_demo);
    assert!(seen.iter().all(|row| row.project == Some(sealed.project)));
    let key = [sealed.key.public()];
    let verified = verify(&admin, "demo", Verifier::new(Some(sealed.project), &key, &[])).await;
    assert!(verified.sound() && verified.rows > 0 && verified.unsealed == 0, "{verified:?}");
    for control in [&developer, &stranger] {
        assert_eq!(rows(control).await, []);
        assert_eq!(control.audit_chains().await.unwrap().items.len(), 0);
    }
    assert!(developer.audit_blocks("demo", 0).await.unwrap().items.is_empty());
    assert_eq!(admin.audit_blocks(PLATFORM, 0).await.unwrap().items, []);
    // What a stranger tried is in the chain of those whom it concerns.
    assert!(stranger.record_refusal("GET /api/v1/tenants/{tenant}", Some("acme")).await.unwrap());
    assert!(!stranger.record_refusal("GET /api/v1/tenants/{tenant}", Some("no\0body")).await.unwrap());
    let refused = AuditFilter { act: Some("refused".into()), ..AuditFilter::default() };
    let refused = admin.audit(&refused, &Slice::first()).await.unwrap().items;
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0].actor, "user:00000000-0000-7000-8000-000000000004");
    assert_eq!((&*refused[0].via, refused[0].address.as_deref()), ("session", Some("192.0.2.1")));
    assert_eq!(refused[0].request.as_deref(), Some("r-1"));
}
