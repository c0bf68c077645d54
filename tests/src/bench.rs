//! How long a tenant's life takes: measured, printed with its gate, and kept.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde_json::json;

use crate::house::House;
use crate::platform::Platform;

/// What is measured, and the longest median that passes, in seconds. The gates
/// are this project's own: no peer hosts, snapshots and restores one tenant.
const GATES: &[(&str, f64)] = &[
    ("template to serving tenant", 5.0),
    ("snapshot, command to ready", 1.0),
    ("restore to a snapshot, command to serving", 5.0),
    ("restore to a time, command to serving", 5.0),
    ("resume: command to serving, Odoo stopped before", 5.0),
    ("restart: heddle up to serving, everything stopped before", 5.0),
];

/// Measures each thing `rounds` times, then stops the platform. Returns whether
/// all gates hold.
pub async fn host(heddle: &Path, mut house: House, rounds: usize) -> Result<bool> {
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); GATES.len()];
    for round in 0..rounds {
        println!("round {} of {rounds}", round + 1);
        let tenant = format!("bench-{round}");
        let began = Instant::now();
        house.tenant(&tenant).await?;
        times[0].push(began.elapsed().as_secs_f64());

        let odoo = house.log_in(&tenant).await?;
        odoo.create_partner("before").await?;
        odoo.attach("file", format!("{round}").repeat(4000).as_bytes()).await?;
        times[1].push(timed(&house, &["snapshot", "create", &tenant, "--name", "one"]).await?);

        odoo.create_partner("after").await?;
        let began = Instant::now();
        timed(&house, &["restore", &tenant, "--to", "one", "--yes"]).await?;
        house.serving(&tenant).await?;
        times[2].push(began.elapsed().as_secs_f64());
        let kept = house.log_in(&tenant).await?.partners("before").await?;
        ensure!(kept.len() == 1, "the restore lost a row");

        let began = Instant::now();
        timed(&house, &["restore", &tenant, "--at", "-1s", "--yes"]).await?;
        house.serving(&tenant).await?;
        times[3].push(began.elapsed().as_secs_f64());

        timed(&house, &["tenant", "suspend", &tenant]).await?;
        let resumed = Instant::now();
        timed(&house, &["tenant", "resume", &tenant]).await?;
        house.serving(&tenant).await?;
        times[4].push(resumed.elapsed().as_secs_f64());

        let (data, env) = (house.platform.data.clone(), []);
        house.platform.stop().await?;
        let began = Instant::now();
        house.platform = Platform::start(heddle, &data, &env).await?;
        house.serving(&tenant).await?;
        times[5].push(began.elapsed().as_secs_f64());
        // Awake tenants would slow the next round down.
        timed(&house, &["tenant", "suspend", &tenant]).await?;
    }
    house.platform.stop().await?;
    report(&mut times, rounds)
}

async fn timed(house: &House, arguments: &[&str]) -> Result<f64> {
    let began = Instant::now();
    house.platform.heddle(arguments).await?;
    Ok(began.elapsed().as_secs_f64())
}

fn report(times: &mut [Vec<f64>], rounds: usize) -> Result<bool> {
    println!("\n{:<62}  {:>7}  {:>7}  {:>7}  {:>7}  result", "seconds", "min", "median", "max", "gate");
    let mut rows = Vec::new();
    let mut met = true;
    for (&(what, gate), times) in GATES.iter().zip(times) {
        times.sort_by(f64::total_cmp);
        let (min, median, max) = (times[0], times[times.len() / 2], times[times.len() - 1]);
        let holds = median <= gate;
        met &= holds;
        let result = if holds { "holds" } else { "MISSED" };
        println!("{what:<62}  {min:>7.2}  {median:>7.2}  {max:>7.2}  {gate:>7.2}  {result}");
        rows.push(
            json!({"what": what, "min": min, "median": median, "max": max, "gate": gate, "holds": holds}),
        );
    }
    let folder = PathBuf::from("target/bench");
    fs::create_dir_all(&folder).context("make target/bench")?;
    let text = serde_json::to_string_pretty(&json!({"bench": "host", "rounds": rounds, "seconds": rows}))?;
    fs::write(folder.join("host.json"), text).context("write target/bench/host.json")?;
    Ok(met)
}
