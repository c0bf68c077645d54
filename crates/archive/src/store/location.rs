//! Where a repository is, as it is written in a setting.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

/// A folder, or `s3://bucket/prefix`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    Folder(PathBuf),
    S3(Box<S3Location>),
}

/// A part of a bucket. What is not said is looked for where Amazon's own tools
/// look: `AWS_REGION`, `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, the
/// machine's role.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Location {
    pub bucket: String,
    /// Without slashes at its ends; may be empty.
    pub prefix: String,
    /// The address of a server that is not Amazon's.
    pub endpoint: Option<String>,
    pub region: Option<String>,
    pub access_key: Option<String>,
    pub secret_key: Option<String>,
}

impl fmt::Debug for S3Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bucket, prefix, endpoint, region, access_key, secret_key: _ } = self;
        let mut shown = f.debug_struct("S3Location");
        shown.field("bucket", bucket).field("prefix", prefix).field("endpoint", endpoint);
        shown.field("region", region).field("access_key", access_key).finish_non_exhaustive()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    #[error("{0:?} is neither an absolute path nor of the form s3://bucket/prefix")]
    Neither(String),
    #[error("{0:?} names no bucket that there can be: 3 to 63 of a-z, 0-9, `.` and `-`")]
    Bucket(String),
    #[error("the prefix of {0:?} may hold letters, digits and `-_.` between single slashes")]
    Prefix(String),
}

impl FromStr for Location {
    type Err = InvalidLocation;

    fn from_str(text: &str) -> Result<Self, InvalidLocation> {
        let Some(rest) = text.strip_prefix("s3://") else {
            let path = PathBuf::from(text);
            return match path.is_absolute() {
                true => Ok(Self::Folder(path)),
                false => Err(InvalidLocation::Neither(text.to_owned())),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let plain = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-');
        if !(3..=63).contains(&bucket.len()) || !bucket.bytes().all(plain) {
            return Err(InvalidLocation::Bucket(text.to_owned()));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let part = |part: &str| {
            !part.is_empty()
                && part != "."
                && part != ".."
                && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
        };
        if !prefix.is_empty() && !prefix.split('/').all(part) {
            return Err(InvalidLocation::Prefix(text.to_owned()));
        }
        Ok(Self::S3(Box::new(S3Location {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            endpoint: None,
            region: None,
            access_key: None,
            secret_key: None,
        })))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3(place) if place.prefix.is_empty() => write!(f, "s3://{}", place.bucket),
            Self::S3(place) => write!(f, "s3://{}/{}", place.bucket, place.prefix),
        }
    }
}

impl From<&Path> for Location {
    fn from(path: &Path) -> Self {
        Self::Folder(path.to_owned())
    }
}

impl From<PathBuf> for Location {
    fn from(path: PathBuf) -> Self {
        Self::Folder(path)
    }
}

impl From<&PathBuf> for Location {
    fn from(path: &PathBuf) -> Self {
        Self::Folder(path.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_read_and_written() {
        for text in ["/srv/repository", "s3://heddle", "s3://heddle/a", "s3://heddle.x-1/a/b_c.d"] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        assert_eq!("s3://heddle/a/".parse::<Location>().unwrap().to_string(), "s3://heddle/a");
        for text in
            ["", "repository", "s3://", "s3://A/x", "s3://ab", "s3://abc//x", "s3://abc/../x", "s3://abc/ä"]
        {
            text.parse::<Location>().unwrap_err();
        }
    }

    #[test]
    fn a_location_does_not_show_its_secret() {
        let Location::S3(place) = "s3://heddle".parse().unwrap() else { panic!("a bucket") };
        let place = S3Location { secret_key: Some("hunter2".into()), ..*place };
        assert!(!format!("{place:?}").contains("hunter2"));
    }
}
