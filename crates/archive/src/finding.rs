//! What is not as it should be, and does not stop anything.

use std::fmt;
use std::path::PathBuf;

use crate::{FileId, RecordError};

#[derive(Debug)]
pub enum Finding {
    /// A file in the repository whose name means nothing there.
    Unknown(PathBuf),
    /// A record that cannot be read; it is treated as absent.
    Record(RecordError),
    /// Streamed WAL that is gone from between what came before and after it, by
    /// the name that would close the gap.
    Gap(PathBuf),
    /// A filestore's file whose bytes are not what its name says, although it
    /// has not changed for a while.
    WrongHash { file: FileId, size: u64 },
    /// A filestore's file that is larger than what is kept.
    TooLarge { file: FileId, size: u64 },
    /// Something other than a file under a file's name, or a folder that cannot
    /// be read: not followed, not kept.
    NotAFile(PathBuf),
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(path) => write!(f, "{} is unknown", path.display()),
            Self::Gap(path) => {
                write!(f, "{} is missing, and what was streamed after it is there", path.display())
            }
            Self::Record(error) => write!(f, "{error}"),
            Self::WrongHash { file, size } => {
                write!(f, "the filestore's file {file} ({size} bytes) does not have the SHA-1 it is named by")
            }
            Self::TooLarge { file, size } => {
                write!(f, "the filestore's file {file} is too large to be kept ({size} bytes)")
            }
            Self::NotAFile(path) => write!(f, "{} is not a file", path.display()),
        }
    }
}
