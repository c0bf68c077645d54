//! Free ports on the loopback.

use std::net::{Ipv4Addr, TcpListener};

use crate::failure::{Doing, Failure};

/// Below the range that Linux gives to outgoing connections, so that none of
/// them takes the port between now and its use.
const RANGE: std::ops::Range<u16> = 18_000..32_000;

/// `count` different ports that nothing listens on.
pub fn free(count: usize) -> Result<Vec<u16>, Failure> {
    let mut start = [0; 2];
    getrandom::fill(&mut start).doing("draw a random port")?;
    let width = RANGE.end - RANGE.start;
    let start = u16::from_le_bytes(start) % width;
    // Held until all are found, so that no two are the same.
    let mut held = Vec::new();
    for step in 0..width {
        let port = RANGE.start + (start + step) % width;
        if let Ok(listener) = TcpListener::bind((Ipv4Addr::LOCALHOST, port)) {
            held.push((port, listener));
        }
        if held.len() == count {
            return Ok(held.into_iter().map(|(port, _)| port).collect());
        }
    }
    Err(Failure::new("find free ports").hint("ports 18000 to 31999 on 127.0.0.1 are all in use"))
}
