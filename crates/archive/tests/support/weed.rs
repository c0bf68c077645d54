//! A real server that speaks S3: SeaweedFS, which `scripts/prepare.sh test`
//! installs.
#![allow(dead_code)]

use std::fs;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use archive::{Location, S3Location};

pub const ACCESS: &str = "heddle-key";
pub const SECRET: &str = "heddle-secret";
pub const BUCKET: &str = "heddle-tests";

pub struct Weed {
    folder: PathBuf,
    ports: Vec<u16>,
    child: Option<Child>,
}

fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("HEDDLE_TEST_WEED") {
        return path.into();
    }
    let home = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache");
    let cache = std::env::var_os("XDG_CACHE_HOME").map_or_else(home, PathBuf::from);
    let found = cache.join("heddle/tools/seaweedfs/bin/weed");
    assert!(found.exists(), "run `scripts/prepare.sh test`, or set HEDDLE_TEST_WEED to SeaweedFS's `weed`");
    found
}

impl Weed {
    /// Starts a server with an empty bucket; its files are in `folder`.
    pub fn start(folder: &Path) -> Self {
        let listeners: Vec<_> = (0..8).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports = listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
        drop(listeners);
        fs::create_dir_all(folder.join("data")).unwrap();
        let text = format!(
            r#"{{"identities":[{{"name":"heddle","credentials":[{{"accessKey":"{ACCESS}","secretKey":"{SECRET}"}}],
               "actions":["Read","Write","List"]}}]}}"#
        );
        fs::write(folder.join("s3.json"), text).unwrap();
        let mut weed = Self { folder: folder.to_owned(), ports, child: None };
        weed.resume();
        weed.make_bucket();
        weed
    }

    pub fn port(&self) -> u16 {
        self.ports[6]
    }

    /// Starts it again, with what it had.
    pub fn resume(&mut self) {
        let log = fs::File::create(self.folder.join("log")).unwrap();
        let mut command = Command::new(program());
        command.arg("server").arg("-ip=127.0.0.1").arg("-ip.bind=127.0.0.1");
        command.arg(format!("-dir={}", self.folder.join("data").display()));
        command.arg(format!("-s3.config={}", self.folder.join("s3.json").display()));
        for (name, port) in ["master", "volume", "filer"].iter().zip(self.ports.chunks(2)) {
            command.arg(format!("-{name}.port={}", port[0])).arg(format!("-{name}.port.grpc={}", port[1]));
        }
        command.arg("-filer").arg("-s3").arg(format!("-s3.port={}", self.ports[6]));
        command
            .arg(format!("-s3.port.grpc={}", self.ports[7]))
            .args(["-s3.port.iceberg=0", "-s3.port.lance=0"]);
        command.args(["-master.volumeSizeLimitMB=64", "-volume.max=40"]);
        command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
        self.child = Some(command.spawn().unwrap());
        let begun = Instant::now();
        // It listens before all of it is ready.
        while !self
            .ask(self.ports[6], "GET / HTTP/1.1")
            .is_some_and(|answer| answer.starts_with("HTTP/1.1 403"))
        {
            let ended = self.child.as_mut().is_some_and(|child| child.try_wait().unwrap().is_some());
            assert!(!ended && begun.elapsed() < Duration::from_secs(60), "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Kills it.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn make_bucket(&self) {
        let begun = Instant::now();
        let request = format!("POST /buckets/{BUCKET}/ HTTP/1.1");
        while !self.ask(self.ports[4], &request).is_some_and(|answer| answer.starts_with("HTTP/1.1 201")) {
            assert!(begun.elapsed() < Duration::from_secs(60), "{}", self.log());
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn ask(&self, port: u16, request: &str) -> Option<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let host = "Host: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(format!("{request}\r\n{host}").as_bytes()).ok()?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).ok()?;
        Some(String::from_utf8_lossy(&answer).into_owned())
    }

    /// Puts an object into the bucket, past S3.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        let mut stream = TcpStream::connect(("127.0.0.1", self.ports[4])).unwrap();
        let head = format!(
            "PUT /buckets/{BUCKET}/{key} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/octet-stream\r\n\
             Content-Length: {}\r\nConnection: close\r\n\r\n",
            bytes.len()
        );
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(bytes).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap_or_default()
    }

    /// A part of the bucket.
    pub fn place(&self, prefix: &str) -> Location {
        place(self.port(), prefix, SECRET)
    }
}

impl Drop for Weed {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A part of a bucket of whoever listens on `port`.
pub fn place(port: u16, prefix: &str, secret: &str) -> Location {
    Location::S3(Box::new(S3Location {
        bucket: BUCKET.into(),
        prefix: prefix.into(),
        endpoint: Some(format!("http://127.0.0.1:{port}")),
        region: Some("us-east-1".into()),
        access_key: Some(ACCESS.into()),
        secret_key: Some(secret.into()),
    }))
}
