//! Base backups of everything.

use std::fs;

use anyhow::{Context, Result};
use serde_json::json;

use super::peer::bytes_below;
use super::push::peak;
use super::{Bench, settled, timed};
use crate::figures::Bounds::AtMost;
use crate::figures::median;

const MB: f64 = (1 << 20) as f64;

pub async fn measure(bench: &mut Bench) -> Result<()> {
    println!("base backups of everything");
    let worker = bench.fleet.house.platform.role("worker").context("the worker does not run")?;
    let (mut ours, mut theirs, mut sizes, mut memory) = (Vec::new(), Vec::new(), Vec::new(), 0.0_f64);
    for round in 0..bench.scale.backups {
        for turn in 0..2 {
            settled();
            if (round + turn) % 2 == 0 {
                forget(bench).await?;
                // Its peak is counted from here on.
                fs::write(format!("/proc/{worker}/clear_refs"), "5")
                    .context("count the worker's peak anew")?;
                let took = bench.back_up(&bench.fleet.tenants).await?;
                memory = memory.max(peak(worker as u32)?);
                println!("  Heddle {took:.2} s");
                ours.push(took);
            } else {
                let backup = async { bench.fleet.stanza.run(&["--type=full", "backup"]) };
                let (took, _) = timed(backup).await?;
                println!("  pgBackRest {took:.2} s");
                theirs.push(took);
            }
        }
        sizes.push((held(bench).await? as f64 / MB, bytes_below(&bench.fleet.stanza.newest()?)? as f64 / MB));
    }
    let (held, stored): (Vec<f64>, Vec<f64>) = sizes.into_iter().unzip();
    bench.beside["backup_s"] = json!({"heddle": &ours, "pgbackrest": &theirs});
    let figures = &mut bench.figures;
    let (wall, peers) = (median(&ours), median(&theirs));
    figures.note_beside("full backup of all tenants, wall", AtMost { gate: 0.7, aim: 0.5 }, wall, peers, "s");
    let bounds = AtMost { gate: 1.0, aim: 0.85 };
    figures.note_beside("repository size of it, zstd 3", bounds, median(&held), median(&stored), "MB");
    let bounds = AtMost { gate: 256.0, aim: 128.0 };
    figures.note("memory of the whole worker meanwhile", "MB", bounds, memory);
    figures.counted("tenants backed up each time", bench.fleet.tenants.len() as i64);
    Ok(())
}

/// Takes the backups away: after them, only changes would be copied.
async fn forget(bench: &Bench) -> Result<()> {
    for tenant in &bench.fleet.tenants {
        let place = bench.fleet.place(tenant).await?;
        for backup in fs::read_dir(bench.fleet.backups(&place)).context("list earlier backups")? {
            fs::remove_dir_all(backup?.path()).context("remove an earlier backup")?;
        }
    }
    Ok(())
}

/// Bytes of all tenants' backups.
async fn held(bench: &Bench) -> Result<u64> {
    let mut sum = 0;
    for tenant in &bench.fleet.tenants {
        let place = bench.fleet.place(tenant).await?;
        sum += bytes_below(&bench.fleet.backups(&place))?;
    }
    Ok(sum)
}
