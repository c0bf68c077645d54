//! What can be wrong with a repository, and what to do about it.

use std::fmt;
use std::path::PathBuf;

use serde::Serialize;

/// Something that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Flaw {
    /// Below the repository's folder.
    pub path: PathBuf,
    pub kind: FlawKind,
    pub what: String,
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $advice:literal;)*) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum FlawKind { $($(#[$doc])* $name,)* }

        impl FlawKind {
            pub const ALL: &[Self] = &[$(Self::$name),*];

            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// What to do, in words that follow a semicolon.
            pub const fn advice(self) -> &'static str {
                match self { $(Self::$name => $advice,)* }
            }
        }
    };
}

kinds! {
    /// A name that means nothing in its place.
    Unknown = "unknown", "move it away if it is not yours to keep there";
    /// A tenant's key that is gone, without having been destroyed on purpose.
    MissingKey = "missing-key", "put key.json back from a copy of the repository; without it nothing of the tenant can be read";
    /// A tenant's key that does not open.
    LockedKey = "locked-key", "name the key file that it was sealed with, or put key.json back from a copy of the repository";
    /// A record that is not what was sealed there, or cannot be parsed.
    DamagedRecord = "damaged-record", "put the file back from a copy of the repository; until then it counts as absent";
    /// A record that tells of another place than it stands in.
    MisplacedRecord = "misplaced-record", "move it back to where it belongs; it is not read here";
    /// A record without which what stands beside it means nothing.
    MissingRecord = "missing-record", "put it back from a copy of the repository";
    /// A lineage whose record does not go with its parent's.
    BrokenChain = "broken-chain", "put the right records back from a copy of the repository";
    /// WAL that does not decompress, or whose records do not check.
    DamagedWal = "damaged-wal", "put the file back from a copy of the repository, and take a base backup now: times after it need one";
    /// WAL of another cluster, lineage or place.
    ForeignWal = "foreign-wal", "put the lineage's own file back from a copy of the repository";
    /// WAL that must be there and is not.
    MissingWal = "missing-wal", "put it back from a copy of the repository, and take a base backup now: times after the gap need one";
    /// A timeline history that names another fork than the lineage's record.
    WrongHistory = "wrong-history", "put the lineage's own file back; without one it is written from the records";
    /// A page that was damaged in the cell already when it was backed up.
    DamagedPage = "damaged-page", "look at the cell's disk and restore from an older backup; replaying its WAL does not mend the page";
    /// A backup's data or manifest that is not as it says.
    DamagedBackup = "damaged-backup", "take a new base backup, or put the file back from a copy of the repository";
    /// A manifest whose data is not there.
    MissingBackup = "missing-backup", "take a new base backup, or put the file back from a copy of the repository";
    /// A filestore object whose bytes are not what its name says.
    WrongFile = "wrong-file", "remove it, so that it is kept again if the tenant still has it, or put it back from a copy";
    /// A snapshot that no restore leads to.
    Unplannable = "unplannable", "mend what else was found for its lineage, or restore to another point";
    /// What the operating system could not read.
    Unreadable = "unreadable", "look at the disk and at the file's permissions";
}

impl fmt::Display for Flaw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}; {}", self.kind.as_str(), self.path.display(), self.what, self.kind.advice())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_as_they_are_named() {
        for kind in FlawKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
