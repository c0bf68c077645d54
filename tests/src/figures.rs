//! What was measured, beside its gate and its aim.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// A gate and an aim, and which side of them is the good one.
#[derive(Debug, Clone, Copy)]
pub enum Bounds {
    AtLeast { gate: f64, aim: f64 },
    AtMost { gate: f64, aim: f64 },
}

impl Bounds {
    fn gate(self) -> f64 {
        match self {
            Self::AtLeast { gate, .. } | Self::AtMost { gate, .. } => gate,
        }
    }

    fn aim(self) -> f64 {
        match self {
            Self::AtLeast { aim, .. } | Self::AtMost { aim, .. } => aim,
        }
    }

    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast { .. } => value >= bound,
            Self::AtMost { .. } => value <= bound,
        }
    }

    /// How many times better than the gate.
    fn ratio(self, value: f64) -> f64 {
        match self {
            Self::AtLeast { gate, .. } => value / gate,
            Self::AtMost { gate, .. } => gate / value,
        }
    }
}

struct Figure {
    what: String,
    unit: &'static str,
    bounds: Bounds,
    value: f64,
    /// What the value is the ratio of, and their unit.
    beside: Option<(f64, f64, &'static str)>,
}

/// Printed as they come, and once more as a table.
#[derive(Default)]
pub struct Figures {
    rows: Vec<Figure>,
    counts: Vec<(String, i64)>,
}

impl Figures {
    pub fn note(&mut self, what: &str, unit: &'static str, bounds: Bounds, value: f64) {
        println!("  {what}: {} {unit}", short(value));
        self.rows.push(Figure { what: what.to_owned(), unit, bounds, value, beside: None });
    }

    /// The ratio of a figure of ours to a peer's.
    pub fn note_beside(&mut self, what: &str, bounds: Bounds, ours: f64, theirs: f64, unit: &'static str) {
        println!("  {what}: {} {unit} beside {} {unit}", short(ours), short(theirs));
        let beside = Some((ours, theirs, unit));
        self.rows.push(Figure { what: what.to_owned(), unit: "x", bounds, value: ours / theirs, beside });
    }

    /// Something that has a gate and is not there to be measured: it misses.
    pub fn not_built(&mut self, what: &str, unit: &'static str, bounds: Bounds) {
        self.note(&format!("{what}: not built"), unit, bounds, f64::NAN);
    }

    /// Something that was done, and found again in the database.
    pub fn counted(&mut self, what: &str, count: i64) {
        self.counts.push((what.to_owned(), count));
    }

    /// Prints the table, and keeps it; returns whether every gate holds.
    pub fn report(&self, bench: &str, more: Value) -> Result<bool> {
        self.write(&PathBuf::from(format!("target/bench/{bench}.json")), bench, more)
    }

    fn write(&self, file: &Path, bench: &str, more: Value) -> Result<bool> {
        let width = self.rows.iter().map(|row| row.what.chars().count()).max().unwrap_or(0);
        println!(
            "\n{:<width$}  {:>10}  {:>10}  {:>10}  {:>6}  {:>7}  {:<9}  {:<7}  beside",
            "", "result", "gate", "aim", "unit", "ratio", "gate", "aim"
        );
        let mut rows = Vec::new();
        let mut met = true;
        for Figure { what, unit, bounds, value, beside } in &self.rows {
            let (gate, aim) = (bounds.gate(), bounds.aim());
            let (holds, reached) = (bounds.holds(*value, gate), bounds.holds(*value, aim));
            let ratio = bounds.ratio(*value);
            met &= holds;
            let (ours, theirs, of) = beside.unwrap_or_default();
            println!(
                "{what:<width$}  {:>10}  {:>10}  {:>10}  {unit:>6}  {:>6.2}x  {:<9}  {:<7}  {}",
                short(*value),
                short(gate),
                short(aim),
                ratio,
                match (holds, value.is_nan()) {
                    (true, _) => "holds",
                    (false, false) => "MISSED",
                    (false, true) => "no figure",
                },
                if reached { "reached" } else { "-" },
                beside.map(|_| format!("{} / {} {of}", short(ours), short(theirs))).unwrap_or_default(),
            );
            rows.push(json!({
                "what": what, "unit": unit, "value": value, "gate": gate, "aim": aim, "ratio": ratio,
                "holds": holds, "reached": reached,
                "beside": beside.map(|(ours, theirs, unit)| json!({"heddle": ours, "peer": theirs, "unit": unit})),
            }));
        }
        if !self.counts.is_empty() {
            println!("\ndone, and found afterwards:");
        }
        for (what, count) in &self.counts {
            println!("  {count:>9}  {what}");
        }
        let counts: serde_json::Map<_, _> =
            self.counts.iter().map(|(what, count)| (what.clone(), json!(count))).collect();
        fs::create_dir_all(file.parent().context("a folder")?).context("make target/bench")?;
        let whole = json!({"bench": bench, "rows": rows, "counts": counts, "beside": more});
        fs::write(file, serde_json::to_string_pretty(&whole)?)
            .with_context(|| format!("write {}", file.display()))?;
        Ok(met)
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 1000.0 => format!("{value:.0}"),
        size if size >= 100.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

pub fn median(values: &[f64]) -> f64 {
    percentile(values, 50.0)
}

/// The smallest value that so many in a hundred do not exceed.
pub fn percentile(values: &[f64], percent: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.clamp(1, sorted.len().max(1)) - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<f64> = (1..=200).rev().map(f64::from).collect();
        assert_eq!(percentile(&values, 50.0), 100.0);
        assert_eq!(percentile(&values, 99.0), 198.0);
        assert_eq!(percentile(&values, 100.0), 200.0);
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(percentile(&[], 50.0).is_nan());
    }

    #[test]
    fn a_missed_gate_is_told_and_nothing_measured_is_missed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bench/queue.json");
        let mut figures = Figures::default();
        figures.note("rate", "/s", Bounds::AtLeast { gate: 10.0, aim: 20.0 }, 15.0);
        figures.note("latency", "ms", Bounds::AtMost { gate: 50.0, aim: 25.0 }, 20.0);
        assert!(figures.write(&file, "queue", json!({})).unwrap());
        figures.note("nothing", "ms", Bounds::AtMost { gate: 50.0, aim: 25.0 }, f64::NAN);
        assert!(!figures.write(&file, "queue", json!({})).unwrap());
        let kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
        assert_eq!(kept["rows"][0]["holds"], true);
        assert_eq!(kept["rows"][0]["reached"], false);
        assert_eq!(kept["rows"][1]["ratio"], 2.5);
    }
}
