//! What a process takes of the machine's memory.

use std::fs;

use anyhow::{Context, Result};

/// Resident, and its share of what several have mapped; in megabytes.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    pub resident: f64,
    pub share: f64,
}

impl Memory {
    pub fn of(pid: i32) -> Result<Self> {
        let path = format!("/proc/{pid}/smaps_rollup");
        let text = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
        let field = |name: &str| -> Result<f64> {
            let line =
                text.lines().find(|line| line.starts_with(name)).with_context(|| format!("no {name}"))?;
            let kilobytes = line.split_whitespace().nth(1).context("a number")?;
            Ok(kilobytes.parse::<f64>()? / 1024.0)
        };
        Ok(Self { resident: field("Rss:")?, share: field("Pss:")? })
    }

    pub fn most(self, other: Self) -> Self {
        Self { resident: self.resident.max(other.resident), share: self.share.max(other.share) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_has_memory_of_its_own() {
        let own = Memory::of(std::process::id() as i32).unwrap();
        assert!(own.share > 0.0 && own.share <= own.resident, "{own:?}");
        assert!(Memory::of(i32::MAX).is_err());
    }
}
