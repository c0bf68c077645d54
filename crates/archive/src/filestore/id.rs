use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};

/// The name of a file in a filestore: the SHA-1 of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(pub [u8; 20]);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a filestore's file")]
pub struct InvalidFileId(String);

impl FileId {
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha1::digest(bytes).into())
    }
}

impl FromStr for FileId {
    type Err = InvalidFileId;

    /// Reads `<sha1>`, or `<aa>/<sha1>` as Odoo's `store_fname` has it.
    fn from_str(text: &str) -> Result<Self, InvalidFileId> {
        let fault = || InvalidFileId(text.chars().take(80).collect());
        let name = match text.split_once('/') {
            Some((folder, name)) if folder.len() == 2 && name.starts_with(folder) => name,
            Some(_) => return Err(fault()),
            None => text,
        };
        if !name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(fault());
        }
        let mut sha1 = [0; 20];
        hex::decode_to_slice(name, &mut sha1).map_err(|_| fault())?;
        Ok(Self(sha1))
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&hex::encode(self.0))
    }
}

impl Serialize for FileId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FileId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FileId({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_in_both_forms() {
        let sha1 = "a9993e364706816aba3e25717850c26c9cd0d89d";
        let id: FileId = sha1.parse().unwrap();
        assert_eq!(id, FileId::of(b"abc"));
        assert_eq!(format!("a9/{sha1}").parse(), Ok(id));
        assert_eq!(id.to_string(), sha1);
        let upper = sha1.to_uppercase();
        for bad in
            ["", "a9", &sha1[1..], &format!("a8/{sha1}"), &format!("../{sha1}"), &upper, &format!("{sha1}0")]
        {
            bad.parse::<FileId>().unwrap_err();
        }
    }
}
