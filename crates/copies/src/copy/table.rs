//! One table's rows, from stream to stream.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures::{SinkExt, StreamExt, TryStreamExt, stream};
use tokio::sync::mpsc::Sender;
use tokio_postgres::{Client, CopyOutStream};

use super::{CopyError, Progress};
use crate::database::{DatabaseError, run};
use crate::mask::Masker;
use crate::plan::TablePlan;

/// What one thread rewrites at a time.
const CHUNK: usize = 256 << 10;

/// Chunks of one table that are rewritten at the same time.
const AHEAD: usize = 4;

/// Whole lines, as many as fit into a chunk, at least one.
pub(crate) fn chunks(
    rows: CopyOutStream,
) -> impl futures::Stream<Item = Result<BytesMut, tokio_postgres::Error>> {
    // A stream that has ended is not asked again.
    let start = (Some(Box::pin(rows)), BytesMut::new());
    stream::try_unfold(start, |(rows, mut chunk)| async move {
        let Some(mut rows) = rows else { return Ok(None) };
        while let Some(bytes) = rows.try_next().await? {
            chunk.extend_from_slice(&bytes);
            if chunk.len() >= CHUNK
                && let Some(end) = chunk.iter().rposition(|&byte| byte == b'\n')
            {
                let rest = chunk.split_off(end + 1);
                return Ok(Some((chunk, (Some(rows), rest))));
            }
        }
        Ok(if chunk.is_empty() { None } else { Some((chunk, (None, BytesMut::new()))) })
    })
}

pub(crate) fn copy_out_statement(plan: &TablePlan) -> String {
    format!("COPY {} ({}) TO STDOUT", plan.table.quoted(), plan.column_list())
}

/// Table, rows and bytes.
pub async fn copy(
    reader: &Client,
    writer: &Client,
    plan: TablePlan,
    masker: &Arc<Masker>,
    told: &Sender<Progress>,
) -> Result<(String, u64, u64), CopyError> {
    let (table, of) = (plan.table.label(), plan.table.bytes);
    if plan.columns.is_empty() {
        return Ok((table, 0, 0));
    }
    let out = |source| CopyError::Out { table: table.clone(), source };
    let into = |source| CopyError::In { table: table.clone(), source };
    let target = |source| CopyError::Target(DatabaseError::Ask(format!("write the table {table}"), source));
    let plan = Arc::new(plan);
    let is_plain = plan.is_plain();
    let name = plan.table.quoted();
    // Emptied in the same transaction, its rows can be written as frozen ones.
    run(writer, "begin to write", &format!("BEGIN; TRUNCATE ONLY {name}"))
        .await
        .map_err(CopyError::Target)?;
    let copy_in = format!("COPY {name} ({}) FROM STDIN WITH (FREEZE)", plan.column_list());
    let sink = writer.copy_in::<_, Bytes>(&copy_in).await.map_err(into)?;
    let rows = reader.copy_out(&copy_out_statement(&plan)).await.map_err(out)?;
    let rewritten = chunks(rows).map(|chunk| {
        let (plan, masker, table) = (plan.clone(), masker.clone(), table.clone());
        async move {
            let chunk = chunk.map_err(|source| CopyError::Out { table: table.clone(), source })?;
            if is_plain {
                return Ok(chunk.freeze());
            }
            let rewriting = tokio::task::spawn_blocking(move || {
                let mut out = Vec::with_capacity(chunk.len() + chunk.len() / 4);
                plan.rewrite(&masker, &chunk, &mut out).map(|()| Bytes::from(out))
            });
            rewriting.await.map_err(CopyError::Task)?.map_err(|source| CopyError::Rewrite { table, source })
        }
    });
    let mut rewritten = std::pin::pin!(rewritten.buffered(AHEAD));
    let mut sink = std::pin::pin!(sink);
    let mut written = 0;
    while let Some(chunk) = rewritten.try_next().await? {
        written += chunk.len() as u64;
        sink.send(chunk).await.map_err(into)?;
        // Who looks on may have gone.
        let _ = told.try_send(Progress::Rows { table: table.clone(), written, of });
    }
    let rows = sink.finish().await.map_err(into)?;
    writer.batch_execute("COMMIT").await.map_err(target)?;
    let _ = told.send(Progress::Table { table: table.clone(), rows }).await;
    Ok((table.clone(), rows, written))
}
