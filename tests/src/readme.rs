//! The commands of README.md, run as they stand there.

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::platform::Platform;

const README: &str = include_str!("../../README.md");

/// Runs the commands under each of these lines, on a platform with the serving
/// tenant `acme` in `demo/production`. Returns how many there were.
pub async fn commands_do_what_they_say(platform: &Platform, introductions: &[&str]) -> Result<usize> {
    let mut count = 0;
    for introduction in introductions {
        let block = block(introduction)?;
        count += block.lines().filter(|line| line.starts_with("heddle ")).count();
        let ended = Command::new("sh")
            .args(["-euc", block])
            .envs(platform.environment())
            .env_remove("HEDDLE_FAULTS")
            .env("PATH", search_path(platform)?)
            .output()
            .await
            .context("run sh")?;
        ensure!(
            ended.status.success(),
            "what the README shows under {introduction:?} does not work:\n{}{}",
            String::from_utf8_lossy(&ended.stdout),
            String::from_utf8_lossy(&ended.stderr)
        );
    }
    Ok(count)
}

/// The commands that follow a line.
fn block(introduction: &str) -> Result<&'static str> {
    let (_, rest) = README.split_once(introduction).with_context(|| format!("no {introduction:?}"))?;
    let rest = rest.trim_start().strip_prefix("```sh\n").context("no commands follow it")?;
    Ok(rest.split_once("```").context("the commands do not end")?.0)
}

/// Where the platform's own `heddle` is found first.
fn search_path(platform: &Platform) -> Result<String> {
    let folder = platform.program().parent().context("heddle has no folder")?;
    let others = std::env::var("PATH").context("read PATH")?;
    Ok(format!("{}:{others}", folder.display()))
}
