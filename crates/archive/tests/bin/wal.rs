//! `archive-wal push SOCKET PATH`, `archive-wal fetch SOCKET NAME DEST`, and
//! `archive-wal expire REPOSITORY KEY NOW`, which drops what a day does not keep
//! that was condemned a day ago; `archive-wal stream REPOSITORY KEY TENANT
//! LINEAGE SOCKET`, which says how far the WAL is durable.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use archive::client::{self, Fetched};
use archive::{Clock, Expire, KeyFile, Location, Repository, Streamed};
use model::retention::Retention;
use tokio::sync::watch;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["push", socket, path] => match client::push(Path::new(socket), Path::new(path)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("{error}");
                ExitCode::FAILURE
            }
        },
        ["fetch", socket, name, dest] => {
            let fetched = client::fetch(Path::new(socket), name, Path::new(dest));
            if let Err(error) = &fetched {
                eprintln!("{error}");
            }
            ExitCode::from(Fetched::exit_code(&fetched))
        }
        ["expire", place, key, now] => {
            let mut place: Location = place.parse().unwrap();
            if let Location::S3(place) = &mut place {
                place.endpoint = std::env::var("AWS_ENDPOINT").ok();
            }
            let repository = Repository::open(place, KeyFile::at(key)).unwrap();
            let how = Expire {
                retention: Retention { days: 1, daily: 0, weekly: 0, monthly: 0 },
                grace: Duration::from_secs(86_400),
                clock: Clock { now: now.parse().unwrap(), boot: None },
                clock_is_right: true,
                plan_only: false,
            };
            let expired = repository.expire(None, &how).unwrap();
            println!("{}", serde_json::to_string(&expired).unwrap());
            ExitCode::SUCCESS
        }
        ["stream", place, key, tenant, lineage, socket] => {
            let repository = Repository::open(place.parse::<Location>().unwrap(), KeyFile::at(key)).unwrap();
            let archive = repository.tenant(tenant.parse().unwrap());
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
            let (tell, mut told) = watch::channel(Streamed::default());
            let (lineage, socket) = (lineage.parse().unwrap(), socket.into());
            runtime.spawn(async move {
                archive.stream_wal(lineage, socket, Duration::from_millis(5), tell).await;
            });
            runtime.block_on(async {
                while told.changed().await.is_ok() {
                    println!("{}", told.borrow_and_update().durable);
                }
            });
            ExitCode::FAILURE
        }
        _ => ExitCode::from(2),
    }
}
