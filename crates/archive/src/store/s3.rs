//! A bucket of a server that speaks S3.
//!
//! The rest of this crate is blocking code on threads of its own, so requests
//! run on a runtime here and are waited for.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::TryStreamExt;
use jiff::Timestamp;
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::path::Path as Key;
use object_store::{
    ClientOptions, Error, GetOptions, GetRange, MultipartUpload, ObjectStore, PutMode, PutPayload,
    RetryConfig,
};
use tokio::runtime::Runtime;

use super::{Content, S3Location, Stored};
use crate::disk::{FileError, Linked, failed};

/// Larger objects are written in parts. No pack and no record is.
const SINGLE: usize = 48 << 20;
const PART: usize = 16 << 20;

/// What one request reads of a large object.
const PIECE: u64 = 8 << 20;

/// A lost connection is taken up again for so long.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
const REQUEST: Duration = Duration::from_secs(60);
const CONNECT: Duration = Duration::from_secs(10);

#[derive(Clone)]
pub(crate) struct S3(Arc<Inner>);

struct Inner {
    store: Arc<AmazonS3>,
    /// `s3://bucket/prefix`, as paths of this repository begin.
    root: PathBuf,
    prefix: String,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Dropped where blocking is not allowed, a runtime panics.
            runtime.shutdown_background();
        }
    }
}

impl S3 {
    pub fn new(place: &S3Location, root: PathBuf) -> Result<Self, FileError> {
        let client =
            ClientOptions::new().with_timeout(REQUEST).with_connect_timeout(CONNECT).with_http1_only();
        let retry = RetryConfig { retry_timeout: PATIENCE, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::from_env()
            .with_client_options(client)
            .with_retry(retry)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_bucket_name(&place.bucket);
        if let Some(endpoint) = &place.endpoint {
            builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
        }
        if let Some(region) = &place.region {
            builder = builder.with_region(region);
        }
        if let (Some(access), Some(secret)) = (&place.access_key, &place.secret_key) {
            builder = builder.with_access_key_id(access).with_secret_access_key(secret);
        }
        let store = builder.build().map_err(io::Error::other).map_err(failed("prepare to reach", &root))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("repository")
            .enable_all()
            .build()
            .map_err(failed("prepare to reach", &root))?;
        let inner =
            Inner { store: Arc::new(store), root, prefix: place.prefix.clone(), runtime: Some(runtime) };
        Ok(Self(Arc::new(inner)))
    }

    /// Runs a request to its end; blocks.
    fn wait<T: Send + 'static>(
        &self,
        request: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let (tell, told) = std::sync::mpsc::sync_channel(1);
        if let Some(runtime) = &self.0.runtime {
            runtime.spawn(async move {
                // Nobody is left to tell if this process ends.
                let _ = tell.send(request.await);
            });
        }
        told.recv().unwrap_or_else(|_| {
            Err(Error::Generic { store: "S3", source: "the request was broken off".into() })
        })
    }

    fn key(&self, path: &Path) -> Result<Key, FileError> {
        let inside = path.strip_prefix(&self.0.root).unwrap_or(path);
        let text = format!("{}/{}", self.0.prefix, inside.display());
        Key::parse(text.trim_matches('/'))
            .map_err(|error| failed("name", path)(io::Error::new(io::ErrorKind::InvalidInput, error)))
    }

    fn path(&self, key: &Key) -> PathBuf {
        let inside = key.as_ref().strip_prefix(&self.0.prefix).unwrap_or(key.as_ref());
        self.0.root.join(inside.trim_start_matches('/'))
    }

    pub fn names(&self, folder: &Path) -> Result<Vec<String>, FileError> {
        let (store, key) = (self.0.store.clone(), self.key(folder)?);
        let wanted = key.clone();
        let found = self.wait(async move { store.list_with_delimiter(Some(&wanted)).await });
        let found = found.map_err(told("list", folder))?;
        let keys = found.objects.iter().map(|object| &object.location).chain(&found.common_prefixes);
        // Some servers list a folder in which nothing is left as being in itself.
        let keys = keys.filter(|found| **found != key);
        let mut names: Vec<_> = keys.filter_map(|key| key.filename().map(str::to_owned)).collect();
        names.sort_unstable();
        Ok(names)
    }

    pub fn walk(&self, folder: &Path) -> Result<Vec<(PathBuf, u64)>, FileError> {
        let objects = self.objects(folder)?;
        Ok(objects.into_iter().map(|object| (object.path, object.size)).collect())
    }

    pub fn objects(&self, folder: &Path) -> Result<Vec<Stored>, FileError> {
        let (store, key) = (self.0.store.clone(), self.key(folder)?);
        let found = self.wait(async move { store.list(Some(&key)).try_collect::<Vec<_>>().await });
        let found = found.map_err(told("list", folder))?;
        let stored = |object: object_store::ObjectMeta| Stored {
            path: self.path(&object.location),
            size: object.size,
            at: Timestamp::from_second(object.last_modified.timestamp()).unwrap_or(Timestamp::MIN),
        };
        let mut found: Vec<_> = found.into_iter().map(stored).collect();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(found)
    }

    pub fn size(&self, path: &Path) -> Result<Option<u64>, FileError> {
        let (store, key) = (self.0.store.clone(), self.key(path)?);
        let found = self.wait(async move { store.head(&key).await });
        missing(found.map(|object| object.size)).map_err(told("look at", path))
    }

    pub fn read(&self, path: &Path, limit: u64) -> Result<Option<Vec<u8>>, FileError> {
        let (store, key) = (self.0.store.clone(), self.key(path)?);
        let read = self.wait(async move {
            let found = store.get(&key).await?;
            if found.meta.size > limit {
                return Ok(None);
            }
            found.bytes().await.map(Some)
        });
        match missing(read).map_err(told("read", path))? {
            None => Ok(None),
            Some(Some(bytes)) => Ok(Some(bytes.into())),
            Some(None) => Err(failed("read", path)(io::ErrorKind::FileTooLarge.into())),
        }
    }

    pub fn open(&self, path: &Path) -> Result<Option<Content>, FileError> {
        let mut pieces =
            Pieces { s3: self.clone(), key: self.key(path)?, size: 0, at: 0, piece: Bytes::new() };
        match missing(pieces.fetch()).map_err(told("read", path))? {
            None => Ok(None),
            Some(()) => Ok(Some(Box::new(pieces))),
        }
    }

    pub fn begin(&self, path: &Path) -> Result<Pending, FileError> {
        let key = self.key(path)?;
        Ok(Pending { s3: self.clone(), path: path.to_owned(), key, buffer: Vec::new(), parts: None })
    }

    pub fn remove(&self, path: &Path) -> Result<(), FileError> {
        let (store, key) = (self.0.store.clone(), self.key(path)?);
        let removed = self.wait(async move { store.delete(&key).await });
        missing(removed).map(drop).map_err(told("remove", path))
    }

    fn put(&self, key: &Key, bytes: Vec<u8>, mode: PutMode) -> Result<(), Error> {
        let (store, key) = (self.0.store.clone(), key.clone());
        let payload = PutPayload::from(bytes);
        let begun = Instant::now();
        let mut pause = PAUSE;
        loop {
            let (store, key, payload, mode) = (store.clone(), key.clone(), payload.clone(), mode.clone());
            let put = self.wait(async move { store.put_opts(&key, payload, mode.into()).await.map(drop) });
            match put {
                // A conditional write is not sent again by itself, since what is
                // there then may be what was written. Whoever finds a name taken
                // here looks at what is there.
                Err(error) if is_lost(&error) && begun.elapsed() < PATIENCE => {
                    tracing::debug!(%error, "a write to the bucket is sent again");
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                put => return put,
            }
        }
    }
}

/// Whether the connection was lost, so that nobody knows what became of it.
fn is_lost(error: &Error) -> bool {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        // An answer that refuses is another kind of error.
        if error.is::<reqwest::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// None for what is not there.
fn missing<T>(result: Result<T, Error>) -> Result<Option<T>, Error> {
    match result {
        Ok(found) => Ok(Some(found)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

fn told(action: &'static str, path: &Path) -> impl FnOnce(Error) -> FileError {
    let failed = failed(action, path);
    move |error| {
        let kind = match &error {
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
            Error::NotImplemented | Error::NotSupported { .. } => io::ErrorKind::Unsupported,
            _ => io::ErrorKind::Other,
        };
        failed(io::Error::new(kind, error))
    }
}

/// An object that is read piece by piece.
struct Pieces {
    s3: S3,
    key: Key,
    size: u64,
    at: u64,
    piece: Bytes,
}

impl Pieces {
    fn fetch(&mut self) -> Result<(), Error> {
        let (store, key) = (self.s3.0.store.clone(), self.key.clone());
        let range = Some(GetRange::Bounded(self.at..self.at + PIECE));
        let (size, piece) = self.s3.wait(async move {
            let found = store.get_opts(&key, GetOptions { range, ..GetOptions::default() }).await?;
            Ok((found.meta.size, found.bytes().await?))
        })?;
        self.size = size;
        self.at += piece.len() as u64;
        self.piece = piece;
        Ok(())
    }
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() && self.at < self.size {
            self.fetch().map_err(io::Error::other)?;
        }
        let taken = buffer.len().min(self.piece.len());
        buffer[..taken].copy_from_slice(&self.piece.split_to(taken));
        Ok(taken)
    }
}

/// An object that is not there yet.
pub(crate) struct Pending {
    s3: S3,
    path: PathBuf,
    key: Key,
    buffer: Vec<u8>,
    parts: Option<Box<dyn MultipartUpload>>,
}

impl Pending {
    /// Gives the object its name, unless that is taken. An object in parts has
    /// its name given in one request too, but not only if it is free: such are
    /// only a filestore's largest files, which the name tells the content of.
    pub fn place(&mut self) -> Result<Linked, FileError> {
        if self.parts.is_some() {
            if self.s3.size(&self.path)?.is_some() {
                return Ok(Linked::Taken);
            }
            self.complete().map_err(told("write", &self.path))?;
            return Ok(Linked::New);
        }
        match self.s3.put(&self.key, std::mem::take(&mut self.buffer), PutMode::Create) {
            Ok(()) => Ok(Linked::New),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(Linked::Taken),
            Err(error) => Err(told("write", &self.path)(error)),
        }
    }

    pub fn replace(mut self) -> Result<(), FileError> {
        let written = match self.parts.is_some() {
            true => self.complete(),
            false => self.s3.put(&self.key, std::mem::take(&mut self.buffer), PutMode::Overwrite),
        };
        written.map_err(told("write", &self.path))
    }

    fn send_part(&mut self, bytes: Vec<u8>) -> Result<(), Error> {
        let mut parts = match self.parts.take() {
            Some(parts) => parts,
            None => {
                let (store, key) = (self.s3.0.store.clone(), self.key.clone());
                self.s3.wait(async move { store.put_multipart(&key).await })?
            }
        };
        let part = parts.put_part(PutPayload::from(bytes));
        self.parts = Some(parts);
        self.s3.wait(part)
    }

    fn complete(&mut self) -> Result<(), Error> {
        let rest = std::mem::take(&mut self.buffer);
        if !rest.is_empty() {
            self.send_part(rest)?;
        }
        let Some(mut parts) = self.parts.take() else { return Ok(()) };
        self.s3.wait(async move { parts.complete().await.map(drop) })
    }
}

impl Write for Pending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        let most = if self.parts.is_some() { PART } else { SINGLE };
        while self.buffer.len() >= most {
            let rest = self.buffer.split_off(PART);
            let part = std::mem::replace(&mut self.buffer, rest);
            self.send_part(part).map_err(io::Error::other)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        if let Some(mut parts) = self.parts.take() {
            // What stays is not seen, and the bucket's own rules remove it.
            let _ = self.s3.wait(async move { parts.abort().await });
        }
    }
}
