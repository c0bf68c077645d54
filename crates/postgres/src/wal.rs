//! What is asked of a running cluster's WAL, over a superuser's connection.

use model::lsn::{Lsn, Timeline};
use tokio_postgres::types::PgLsn;
use tokio_postgres::{Client, Error};

async fn lsn(
    client: &Client,
    query: &str,
    params: &[&(dyn tokio_postgres::types::ToSql + Sync)],
) -> Result<Lsn, Error> {
    let lsn: PgLsn = client.query_one(query, params).await?.try_get(0)?;
    Ok(Lsn(lsn.into()))
}

/// Where the next record will be written. That says nothing about durability.
pub async fn current_lsn(client: &Client) -> Result<Lsn, Error> {
    lsn(client, "SELECT pg_current_wal_insert_lsn()", &[]).await
}

/// Writes a named point that recovery can stop at; the end of its record.
pub async fn restore_point(client: &Client, name: &str) -> Result<Lsn, Error> {
    lsn(client, "SELECT pg_create_restore_point($1)", &[&name]).await
}

/// Ends the present segment, so that it is archived. The answer is the end of
/// what was written: once [`model::lsn::Segment::before`] it is archived,
/// everything written until now is. Changes nothing if nothing was written
/// since the last switch.
pub async fn switch_wal(client: &Client) -> Result<Lsn, Error> {
    lsn(client, "SELECT pg_switch_wal()", &[]).await
}

/// Commits a transaction that changes nothing, so that the WAL holds a commit
/// stamped now: recovery to any earlier time finds where to stop. The answer is
/// an LSN at or after the end of that commit.
pub async fn emit_marker(client: &Client, content: &str) -> Result<Lsn, Error> {
    client.query_one("SELECT pg_logical_emit_message(true, 'heddle', $1::text)", &[&content]).await?;
    current_lsn(client).await
}

/// The timeline that is being written to. Fails during recovery.
pub async fn timeline(client: &Client) -> Result<Timeline, Error> {
    // pg_control_checkpoint() still tells the old one for a while after a promotion.
    let query = "SELECT ('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::int";
    let timeline: i32 = client.query_one(query, &[]).await?.try_get(0)?;
    Ok(Timeline(timeline.cast_unsigned()))
}

pub async fn is_in_recovery(client: &Client) -> Result<bool, Error> {
    client.query_one("SELECT pg_is_in_recovery()", &[]).await?.try_get(0)
}

pub async fn system_identifier(client: &Client) -> Result<u64, Error> {
    let row = client.query_one("SELECT system_identifier FROM pg_control_system()", &[]).await?;
    Ok(row.try_get::<_, i64>(0)?.cast_unsigned())
}
