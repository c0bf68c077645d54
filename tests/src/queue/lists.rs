//! A list of runs as a member of some of many projects sees it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio_postgres::Client;

use super::line::Door;

const RUNS: i64 = 1_000_000;
const PROJECTS: i64 = 200;
/// Of which the one who asks is a member of so many.
const MEMBER_OF: i64 = 5;
const SECRET: &str = "benchbenchbenchbenchbenchbenchbenchbench";
const PREFIX: &str = "benchkey";

/// How long each way of asking is repeated for.
const LASTING: Duration = Duration::from_secs(4);

/// A year of runs, one in 25 of them failed, in as many projects; somebody who
/// is a member of a few, with a key.
const FILL: &str = "
WITH made AS (
    INSERT INTO ops.projects (id, name)
    SELECT gen_random_uuid(), 'listed-' || n FROM generate_series(1, 200) n RETURNING id, name
)
INSERT INTO ops.runs (id, kind, state, project_id, requester, attempts, fence, reason, queued_at, started_at, ended_at)
SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '7' || substr(md5(n::text), 1, 3) || '8'
        || substr(md5(n::text), 5, 15))::uuid,
       'probe', CASE WHEN n % 25 = 0 THEN 'failed' ELSE 'succeeded' END, p.id, 'platform', 1, 1,
       CASE WHEN n % 25 = 0 THEN 'it had to' END, at, at, at
FROM generate_series(1, 1000000) n
CROSS JOIN LATERAL (SELECT now() - interval '1 year' + n * interval '31 seconds' AS at) t
-- Scattered, and each project with its share.
JOIN (SELECT id, row_number() OVER (ORDER BY name) - 1 AS place FROM made) p
    ON p.place = (hashint8(n)::bigint & 2147483647) % 200;
INSERT INTO ops.users (id, login, password_hash) VALUES (gen_random_uuid(), 'lister', 'none');
INSERT INTO ops.project_members (project_id, user_id, role)
SELECT p.id, u.id, 'developer' FROM ops.projects p, ops.users u
WHERE u.login = 'lister' AND p.name IN ('listed-1', 'listed-50', 'listed-100', 'listed-150', 'listed-200');
INSERT INTO ops.api_keys (id, name, prefix, secret_hash, user_id)
SELECT gen_random_uuid(), 'bench', 'benchkey', sha256(convert_to('benchbenchbenchbenchbenchbenchbenchbench', 'UTF8')), u.id
FROM ops.users u WHERE u.login = 'lister';
";

/// Makes the runs, which takes a while, and returns the member's door.
pub async fn fill(database: &Client, door: &Door) -> Result<Door> {
    let began = Instant::now();
    // What fills the table is not what is measured.
    database.batch_execute("SET session_replication_role = replica; SET synchronous_commit = off").await?;
    database.batch_execute(FILL).await.context("fill the database with runs")?;
    database.batch_execute("RESET session_replication_role; RESET synchronous_commit").await?;
    database.batch_execute("VACUUM (ANALYZE) ops.runs, ops.projects, ops.project_members").await?;
    println!("  {RUNS} runs in {PROJECTS} projects, made in {:.0} s", began.elapsed().as_secs_f64());
    Ok(Door { key: format!("hk_{PREFIX}_{SECRET}"), ..door.clone() })
}

/// Milliseconds of every answer: the newest, a project's, the failed ones, a
/// later page; four clients at once. And how many answers there were.
pub async fn ask(member: &Door) -> Result<Vec<f64>> {
    let mut line = member.open().await?;
    let first = read(&line.get("/api/v1/runs").await?)?;
    ensure!(first.len() == 100, "a page has {} runs", first.len());
    let projects: std::collections::BTreeSet<_> =
        first.iter().filter_map(|run| run["project"].as_str()).collect();
    ensure!(
        projects.len() as i64 <= MEMBER_OF && !projects.is_empty(),
        "a member of {MEMBER_OF} projects sees {projects:?}"
    );
    let ways = [
        "/api/v1/runs".to_owned(),
        "/api/v1/runs?state=failed".to_owned(),
        "/api/v1/runs?state=succeeded".to_owned(),
        "/api/v1/runs?limit=20".to_owned(),
    ];
    let askers = ways.map(|way| {
        let member = member.clone();
        async move {
            let mut line = member.open().await?;
            let mut times = Vec::new();
            let until = Instant::now() + LASTING;
            while Instant::now() < until {
                let began = Instant::now();
                let answer = line.get(&way).await?;
                times.push(began.elapsed().as_secs_f64() * 1e3);
                ensure!(!read(&answer)?.is_empty(), "{way} lists nothing");
            }
            Ok(times)
        }
    });
    Ok(futures::future::try_join_all(askers).await?.concat())
}

fn read(answer: &[u8]) -> Result<Vec<Value>> {
    let page: Value = serde_json::from_slice(answer)?;
    Ok(page["items"].as_array().context("no items in the answer")?.clone())
}
