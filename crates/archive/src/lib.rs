//! The repository: a tenant's WAL, base backups, filestore objects and the
//! records that tie them together, as `docs/reference/repository.md` defines
//! them, and the service through which cells reach it.
//!
//! Only the worker opens a repository. Nothing is acknowledged before it is
//! durable, and what can be seen in it is whole. Files that belong to tenants
//! (data directories, filestores) are read as a hostile user may have left
//! them: links are never followed, pipes never waited for, sizes bounded.

mod backup;
pub mod client;
mod disk;
mod expire;
mod filestore;
mod finding;
mod history;
mod journal;
mod key;
mod mark;
mod object;
mod pace;
mod record;
mod repository;
mod seal;
mod service;
pub mod standalone;
mod store;
mod stream;
mod tree;
mod verify;
mod wal;

pub use backup::{BackupError, BackupRequest, DamagedPage, ExtractError, FileEntry, Manifest, Pack, Part};
pub use disk::FileError;
pub use expire::{
    Amount, Clock, ClockError, Expire, ExpireError, Expired, KeptBackup, KeptSnapshot, LEAST_GRACE,
    TenantExpired,
};
pub use filestore::{FileId, Filestore, FilestoreError, InvalidFileId, Placed, SyncReport};
pub use finding::Finding;
pub use history::Inventory;
pub use journal::{Journal, Removed};
pub use key::{KeyError, KeyFile, Keys, MasterKey, Rotated, Shredded, WrapError, Wrapped, Wrapper};
pub use mark::{MarkError, SnapshotMark};
pub use record::{PutError, RecordError};
pub use repository::{OpenError, Repository, TenantArchive};
pub use seal::{Broken, Secret};
pub use service::{ArchiveService, ServiceError, WalAccess};
pub use store::{InvalidLocation, Location, S3Location};
pub use stream::{StreamError, Streamed, drop_stream_slot};
pub use verify::{Flaw, FlawKind, Verification, VerifyError};
pub use wal::{FetchError, PlacedWal, PushError, Pushed, TakeError, Taken, WaitError, WalChain};
