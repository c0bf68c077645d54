//! The cluster that holds Heddle's own database, for `heddle up` on one machine.

use model::lsn::SegmentSize;

use crate::cluster::ConfigError;
use crate::disk::{self, FileError};
use crate::initdb::{InitError, InitOptions, initdb};
use crate::settings;
use crate::{Binaries, Cluster, OsUser};

/// Larger than a cell's: it is filled in a moment when the queue is busy.
const SEGMENTS: SegmentSize = SegmentSize(16 << 20);

#[derive(Debug, thiserror::Error)]
pub enum ManagementError {
    #[error("make the management cluster")]
    Init(#[from] InitError),
    #[error("configure the management cluster")]
    Config(#[from] ConfigError),
    #[error(transparent)]
    File(#[from] FileError),
}

/// Makes the management cluster if it does not exist yet, and writes its
/// configuration. Safe to be killed in, and to be repeated before every start.
///
/// As root, `user` is who it belongs to and runs as (see
/// [`OsUser::for_initdb`]), and `cluster.identity` must be theirs.
pub fn prepare_management(
    bin: &Binaries,
    cluster: &Cluster,
    user: Option<&OsUser>,
) -> Result<(), ManagementError> {
    if !disk::exists(&cluster.data_dir)? {
        let options = InitOptions { segment_size: SEGMENTS, owner: cluster.identity };
        initdb(bin, &cluster.data_dir, user, &options)?;
    }
    cluster.make_socket_dir()?;
    // Before what includes it.
    let settings = cluster.data_dir.join(settings::MANAGEMENT_FILE);
    disk::place(&settings, settings::MANAGEMENT.as_bytes(), cluster.identity)?;
    Ok(cluster.write_config()?)
}
