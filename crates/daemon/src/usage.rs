//! What this process takes of the machine, as the kernel counts it.

use std::fs;

/// A process's use of memory, time and files.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Bytes of memory that are resident.
    pub resident: u64,
    pub open_files: u64,
    /// Seconds of processor time, its own and the kernel's for it.
    pub cpu_seconds: f64,
    /// Seconds since 1970.
    pub started_at: f64,
}

/// None: the kernel does not say.
pub fn usage() -> Option<Usage> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name in brackets may hold anything; what follows it does not.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |place: usize| fields.get(place)?.parse::<u64>().ok();
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let booted = fs::read_to_string("/proc/stat")
        .ok()?
        .lines()
        .find_map(|line| line.strip_prefix("btime ")?.trim().parse::<f64>().ok())?;
    Some(Usage {
        resident: number(21)? * rustix::param::page_size() as u64,
        open_files: fs::read_dir("/proc/self/fd").ok()?.count() as u64,
        cpu_seconds: (number(11)? + number(12)?) as f64 / ticks,
        started_at: booted + number(19)? as f64 / ticks,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_with_what_is_taken() {
        let before = usage().unwrap();
        let taken = vec![1u8; 64 << 20];
        let files: Vec<_> = (0..32).map(|_| fs::File::open("/dev/null").unwrap()).collect();
        let after = usage().unwrap();
        assert!(after.resident >= before.resident + (32 << 20), "{before:?} {after:?}");
        assert!(after.open_files >= before.open_files + 32, "{before:?} {after:?}");
        assert!(after.cpu_seconds >= before.cpu_seconds && after.started_at == before.started_at);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 86_400.0..=now + 5.0).contains(&after.started_at), "{after:?} at {now}");
        drop((taken, files));
    }
}
