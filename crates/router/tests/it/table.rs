//! The table follows control, and outlives both it and the router.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use router::Limits;

use crate::harness::{Control, Platform, Upstream, entry, eventually};

#[tokio::test]
async fn changes_are_served_within_a_tenth_of_a_second() {
    let (acme, globex) = (Upstream::start("acme").await, Upstream::start("globex").await);
    let platform = Platform::start(vec![entry("acme.localhost", Some(acme.address))]).await;
    let mut times = Vec::new();
    for n in 0..10 {
        // A new tenant, then one that has moved, then one that is gone.
        let host = format!("new-{n}.localhost");
        for (upstream, status) in [(Some(&acme), 200), (Some(&globex), 200), (None, 404)] {
            let begun = Instant::now();
            platform.control.set(upstream.map(|to| entry(&host, Some(to.address))).into_iter().collect());
            let expected = upstream.map_or(0, |upstream| upstream.hits() + 1);
            eventually(async || {
                let reply = platform.get(&host, "/").await;
                reply.status == status && upstream.is_none_or(|upstream| upstream.hits() >= expected)
            })
            .await;
            times.push(begun.elapsed());
        }
    }
    times.sort();
    // The median, because other programs use this machine, too.
    assert!(times[times.len() / 2] < Duration::from_millis(100), "{times:?}");
}

#[tokio::test]
async fn without_control_the_last_good_table_is_served_also_after_a_restart() {
    let acme = Upstream::start("acme").await;
    let mut platform = Platform::start(vec![entry("acme.localhost", Some(acme.address))]).await;
    let file = platform.folder.path().join("routes.json");
    eventually(async || file.exists()).await;
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

    platform.control.down();
    for _ in 0..20 {
        platform.get("acme.localhost", "/").await.said();
    }
    platform.stop.cancel();
    platform.router.await.unwrap();

    let mut platform = Platform::start_router(platform.control, platform.folder, Limits::default());
    let said = platform.get("acme.localhost", "/").await.said();
    assert_eq!(said.header("x-heddle-router"), ["key-of-acme.localhost"]);
    assert_eq!(platform.get("globex.localhost", "/").await.status, 404);

    // Control comes back with news.
    platform.control.set(vec![entry("globex.localhost", Some(acme.address))]);
    platform.control.up().await;
    eventually(async || platform.get("globex.localhost", "/").await.status == 200).await;
    assert_eq!(platform.get("acme.localhost", "/").await.status, 404);
}

#[tokio::test]
async fn a_damaged_file_is_no_table_and_heals() {
    let acme = Upstream::start("acme").await;
    let mut control = Control::start(vec![entry("acme.localhost", Some(acme.address))]).await;
    control.down();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("routes.json");
    std::fs::write(&file, "{\"version\": \"1\", \"rou").unwrap();
    let mut platform = Platform::start_router(control, folder, Limits::default());
    // Not 404: the router does not know better yet.
    let reply = platform.get("acme.localhost", "/").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("3")));
    platform.control.up().await;
    eventually(async || platform.get("acme.localhost", "/").await.status == 200).await;
    eventually(async || std::fs::read_to_string(&file).unwrap().contains("acme.localhost")).await;
}
