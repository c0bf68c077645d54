//! A backup of what changed, after one page in a hundred did.

use std::fs;

use anyhow::{Context, Result, ensure};
use archive::{KeyFile, Repository};
use tokio_postgres::Client;

use super::fleet::LARGE;
use super::peer::bytes_below;
use super::rows::Rows;
use super::{Bench, settled};
use crate::figures::Bounds::AtMost;
use crate::platform::text;

const MB: f64 = (1 << 20) as f64;

/// Any tables' pages, chosen one like the other: a lock on a row changes the
/// page that it is in, and no other. `$1` of them.
const CHANGE: &str = "
    DO $$
    DECLARE page record;
    BEGIN
        PERFORM setseed(0.42);
        FOR page IN
            SELECT c.oid::regclass AS relation, n
            FROM pg_class c
            JOIN pg_namespace s ON s.oid = c.relnamespace AND s.nspname = 'public',
            LATERAL generate_series(0, pg_relation_size(c.oid) / 8192 - 1) AS n
            WHERE c.relkind = 'r' AND c.relpersistence = 'p'
            ORDER BY random() LIMIT COUNT
        LOOP
            EXECUTE format('SELECT 1 FROM %s WHERE ctid >= %L AND ctid < %L LIMIT 1 FOR UPDATE',
                           page.relation, format('(%s,0)', page.n), format('(%s,0)', page.n + 1));
        END LOOP;
    END $$";

pub async fn measure(bench: &mut Bench) -> Result<()> {
    println!("backups of what changed in one page of a hundred");
    let small = bench.fleet.tenants.last().context("a small tenant")?.clone();
    for (tenant, what) in [(LARGE.to_owned(), "the large tenant"), (small, "a small tenant")] {
        let place = bench.fleet.place(&tenant).await?;
        let client = place.connect().await?;
        // What was not written since the last checkpoint would count as well.
        for statement in ["VACUUM", "CHECKPOINT"] {
            client.batch_execute(statement).await?;
        }
        let folder = bench.fleet.backups(&place);
        for backup in fs::read_dir(&folder)? {
            fs::remove_dir_all(backup?.path())?;
        }
        bench.back_up(std::slice::from_ref(&tenant)).await?;
        let whole = bytes_below(&folder)?;

        let pages: i64 =
            client.query_one("SELECT pg_database_size(current_database()) / 8192", &[]).await?.get(0);
        change(&client, pages / 100).await?;
        settled();
        let took = bench.back_up(std::slice::from_ref(&tenant)).await?;
        let changes = bytes_below(&folder)? - whole;
        goes_on(bench, &text(&place.tenant, "id"), &place.lineage).await?;
        println!("  {} of {pages} pages in {took:.2} s", pages / 100);
        let what = format!("backup of changes in 1 % of the pages, {what}");
        let bounds = AtMost { gate: 0.03, aim: 0.015 };
        bench.figures.note_beside(&what, bounds, changes as f64 / MB, whole as f64 / MB, "MB");
    }
    Ok(())
}

async fn change(client: &Client, pages: i64) -> Result<()> {
    let sql = CHANGE.replace("COUNT", &pages.to_string());
    client.batch_execute(&sql).await.context("change pages")?;
    // Besides, there is a commit that wrote a row.
    Rows::new(3).add(client, 1).await?;
    client.batch_execute("CHECKPOINT").await.context("write the changes")
}

/// One backup holds the changes since the other.
async fn goes_on(bench: &Bench, tenant: &str, lineage: &str) -> Result<()> {
    let keys = KeyFile::at(bench.fleet.house.platform.data.join("secrets/repository.key"));
    let repository = Repository::open(bench.fleet.repository(), keys).context("open the repository")?;
    let (archive, lineage) = (repository.tenant(tenant.parse()?), lineage.parse()?);
    let mut bases = Vec::new();
    let held = archive.history().await?.history;
    for backup in held.backups.iter().filter(|backup| backup.lineage == lineage) {
        bases.push(archive.manifest(lineage, backup.id).await?.base.is_some());
    }
    bases.sort_unstable();
    ensure!(bases == [false, true], "the second backup is none of changes: {bases:?}");
    Ok(())
}
