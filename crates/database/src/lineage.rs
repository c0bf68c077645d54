use jiff::Timestamp;
use model::archive::{Fork, Lineage};
use model::lsn::{Lsn, SegmentSize, Timeline};
use model::{LineageId, TenantId};
use tokio_postgres::types::PgLsn;
use uuid::Uuid;

use crate::query::{Columns, Only, Query, Read, query};
use crate::{On, Result};

const INSERT: Query = query!("lineage/insert");
const FIND: Query = query!("lineage/find");
const ACTIVATE: Query = query!("lineage/activate");

/// A lineage as it is stored, and since when its tenant serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub lineage: Lineage,
    pub activated_at: Option<Timestamp>,
}

impl Read for Known {
    fn read(columns: &Columns<'_>) -> Result<Self> {
        let parent = match columns.id_if("parent_id")? {
            None => None,
            Some(lineage) => {
                let lsn: PgLsn = columns.get("fork_lsn")?;
                Some(Fork { lineage, lsn: Lsn(lsn.into()) })
            }
        };
        let timeline: i64 = columns.get("timeline")?;
        let segment_size: i32 = columns.get("segment_size")?;
        let lineage = Lineage {
            id: columns.id::<LineageId>("id")?,
            tenant: columns.id::<TenantId>("tenant_id")?,
            parent,
            timeline: Timeline(timeline.try_into().map_err(|source| columns.fault("timeline", source))?),
            system_identifier: columns.written("system_identifier")?,
            segment_size: SegmentSize(
                segment_size.try_into().map_err(|source| columns.fault("segment_size", source))?,
            ),
            database: columns.get("database")?,
        };
        Ok(Self { lineage, activated_at: columns.get("activated_at")? })
    }
}

/// Does nothing if it is there already.
pub async fn insert(on: &impl On, lineage: &Lineage) -> Result<()> {
    let parent: Option<Uuid> = lineage.parent.map(|fork| fork.lineage.0);
    let fork: Option<PgLsn> = lineage.parent.map(|fork| PgLsn::from(fork.lsn.0));
    INSERT
        .run(
            on,
            &[
                &lineage.id.0,
                &lineage.tenant.0,
                &parent,
                &fork,
                &i64::from(lineage.timeline.0),
                &lineage.system_identifier.to_string(),
                &i32::try_from(lineage.segment_size.0).unwrap_or(i32::MAX),
                &lineage.database,
            ],
        )
        .await
        .map(drop)
}

pub async fn find(on: &impl On, lineage: LineageId) -> Result<Option<Known>> {
    FIND.first(on, &[&lineage.0]).await
}

/// Notes that its tenant serves it from now on; noted again, the first time stays.
pub async fn activate(on: &impl On, lineage: LineageId) -> Result<Timestamp> {
    Ok(ACTIVATE.one::<Only<Timestamp>>(on, &[&lineage.0]).await?.0)
}
