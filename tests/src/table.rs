//! A table of what was done, how long it took and what was seen.

use std::time::{Duration, Instant};

#[derive(Default)]
pub struct Steps {
    rows: Vec<(String, Duration, String)>,
}

impl Steps {
    /// Notes a step that ended well, with what was observed.
    pub fn done(&mut self, what: &str, began: Instant, seen: impl Into<String>) {
        let (took, seen) = (began.elapsed(), seen.into());
        println!("  ok  {what} ({:.1} s): {seen}", took.as_secs_f64());
        self.rows.push((what.to_owned(), took, seen));
    }

    pub fn print(&self) {
        let width = self.rows.iter().map(|(what, ..)| what.chars().count()).max().unwrap_or(0);
        println!("\n{:<width$}  {:>7}  seen", "step", "seconds");
        for (what, took, seen) in &self.rows {
            println!("{what:<width$}  {:>7.2}  {seen}", took.as_secs_f64());
        }
    }
}
