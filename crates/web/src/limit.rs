//! How many requests are taken from whom: a bucket of tokens for each caller
//! and for each address that has not shown whose it is. In memory: another
//! process counts for itself.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use control::{Kind, Requester};

use crate::failure::Failure;

/// More are not remembered: those that are full again are forgotten first.
const REMEMBERED: usize = 20_000;

/// Tokens come back at `per_second`; `burst` of them are there to begin with.
#[derive(Debug, Clone, Copy)]
pub struct Rate {
    pub per_second: f64,
    pub burst: f64,
}

impl Rate {
    /// So many in a second, and five times as many at once. 0: any number.
    pub fn per_second(requests: u32) -> Option<Self> {
        let per_second = f64::from(requests);
        (requests > 0).then_some(Self { per_second, burst: 5.0 * per_second })
    }

    /// Wrong keys, lost sessions, and sign-ins at all, from one address.
    pub const STRANGERS: Self = Self { per_second: 2.0, burst: 60.0 };
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Who {
    Caller(Requester),
    Address(Option<IpAddr>),
}

impl Who {
    /// Who has an IPv6 address has the 2⁶⁴ beside it, too.
    pub fn at(address: Option<IpAddr>) -> Self {
        Self::Address(address.map(|address| match address.to_canonical() {
            IpAddr::V6(long) => IpAddr::V6(Ipv6Addr::from_bits(long.to_bits() & (u128::MAX << 64))),
            short => short,
        }))
    }
}

struct Bucket {
    tokens: f64,
    at: Instant,
}

impl Bucket {
    fn refill(&mut self, rate: Rate, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        self.tokens = (self.tokens + passed * rate.per_second).min(rate.burst);
        self.at = now;
    }
}

/// Counts for one process.
pub(crate) struct Limiter {
    callers: Option<Rate>,
    strangers: Rate,
    buckets: Mutex<HashMap<Who, Bucket>>,
}

impl Limiter {
    /// `callers` None: who shows a good key or session is not counted.
    pub fn new(callers: Option<Rate>, strangers: Rate) -> Self {
        Self { callers, strangers, buckets: Mutex::default() }
    }

    /// Counts a request; refused once there were too many.
    pub fn take(&self, who: Who) -> Result<(), Failure> {
        self.count(who, Instant::now()).map_err(too_many)
    }

    /// How long until there is a token again, if there is none.
    fn count(&self, who: Who, now: Instant) -> Result<(), Duration> {
        let rate = match who {
            Who::Caller(_) => match self.callers {
                Some(rate) => rate,
                None => return Ok(()),
            },
            Who::Address(_) => self.strangers,
        };
        // Each change is whole in itself, so a panic elsewhere leaves it sound.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= REMEMBERED && !buckets.contains_key(&who) {
            buckets.retain(|who, bucket| {
                let rate = if matches!(who, Who::Caller(_)) { self.callers } else { Some(self.strangers) };
                rate.is_some_and(|rate| {
                    bucket.refill(rate, now);
                    bucket.tokens < rate.burst
                })
            });
            if buckets.len() >= REMEMBERED {
                // So many at once is an attack: nobody new is let in.
                return Err(Duration::from_secs(10));
            }
        }
        let bucket = buckets.entry(who).or_insert(Bucket { tokens: rate.burst, at: now });
        bucket.refill(rate, now);
        if bucket.tokens < 1.0 {
            return Err(Duration::from_secs_f64((1.0 - bucket.tokens) / rate.per_second));
        }
        bucket.tokens -= 1.0;
        Ok(())
    }
}

fn too_many(wait: Duration) -> Failure {
    Failure::new(StatusCode::TOO_MANY_REQUESTS, Kind::TooMany.as_str(), "these are too many requests at once")
        .hint("Wait as long as Retry-After says, and send fewer: lists come in pieces, live streams tell what changes.")
        .after(wait)
}

#[cfg(test)]
mod tests {
    use model::UserId;

    use super::*;

    fn address(text: &str) -> Who {
        Who::at(Some(text.parse().unwrap()))
    }

    #[test]
    fn a_burst_is_taken_and_comes_back_in_time() {
        let limiter = Limiter::new(Rate::per_second(2), Rate::STRANGERS);
        let who = Who::Caller(Requester::User(UserId::new()));
        let start = Instant::now();
        for _ in 0..10 {
            limiter.count(who, start).unwrap();
        }
        let wait = limiter.count(who, start).unwrap_err();
        assert_eq!(wait, Duration::from_millis(500));
        // What was refused is not counted.
        assert_eq!(limiter.count(who, start).unwrap_err(), wait);
        limiter.count(who, start + wait).unwrap();
        limiter.count(who, start + wait).unwrap_err();
        // Nobody saves up more than a burst.
        let later = start + Duration::from_secs(1000);
        assert_eq!((0..100).filter(|_| limiter.count(who, later).is_ok()).count(), 10);
        // Another has tokens of their own.
        limiter.count(Who::Caller(Requester::User(UserId::new())), start).unwrap();
    }

    #[test]
    fn callers_need_not_be_counted_but_strangers_are() {
        let limiter = Limiter::new(Rate::per_second(0), Rate::STRANGERS);
        let now = Instant::now();
        let who = Who::Caller(Requester::User(UserId::new()));
        assert!((0..100_000).all(|_| limiter.count(who, now).is_ok()));
        let stranger = address("10.0.0.1");
        assert_eq!((0..1000).filter(|_| limiter.count(stranger, now).is_ok()).count(), 60);
        limiter.count(address("10.0.0.2"), now).unwrap();
    }

    #[test]
    fn a_network_is_one_stranger() {
        assert_eq!(address("2001:db8::1"), address("2001:db8::ffff:1"));
        assert_ne!(address("2001:db8::1"), address("2001:db8:0:1::1"));
        assert_eq!(address("::ffff:10.0.0.1"), address("10.0.0.1"));
    }

    #[test]
    fn memory_is_bounded() {
        let limiter = Limiter::new(None, Rate::STRANGERS);
        let now = Instant::now();
        let many = |n: u32| Who::Address(Some(IpAddr::from(n.to_be_bytes())));
        let let_in = (0..2 * REMEMBERED as u32).filter(|n| limiter.count(many(*n), now).is_ok()).count();
        assert_eq!(let_in, REMEMBERED);
        assert!(limiter.buckets.lock().unwrap().len() <= REMEMBERED);
        // Once they have rested, others take their places.
        limiter.count(many(u32::MAX), now + Duration::from_secs(60)).unwrap();
        assert_eq!(limiter.buckets.lock().unwrap().len(), 1);
    }
}
