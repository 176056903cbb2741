//! Failed authentications, by the address that they come from.
//!
//! Tokens and the secrets of join codes have 160 bits and more: nobody guesses one. What is limited is what those cost who try: CPU time, and
//! lines of the log. A valid token is never refused here, whatever else comes from its address: behind a proxy, all of the world does.

use std::collections::HashMap;
use std::mem;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// How many addresses are remembered: at most twice as many.
const GENERATION_MAX: usize = 10_000;

/// How often one address may fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FailureLimit {
    /// Failures in a row.
    pub burst: u32,
    /// The interval of further ones.
    pub interval: Duration,
}

/// Token buckets (the generic cell rate algorithm) by address: an IPv4 address, or a `/56` of IPv6. Clones share them.
#[derive(Debug, Clone)]
pub(crate) struct FailedAttempts {
    limit: FailureLimit,
    buckets: Arc<Mutex<Buckets>>,
}

/// When the bucket of each address is full again. Once one generation is full, the one before is forgotten: whoever controls that many
/// addresses has a bucket for each of them anyway.
#[derive(Debug, Default)]
struct Buckets {
    young: HashMap<IpAddr, Instant>,
    old: HashMap<IpAddr, Instant>,
}

impl FailedAttempts {
    pub(crate) fn new(limit: FailureLimit) -> Self {
        Self { limit, buckets: Arc::default() }
    }

    /// Notes a failure. The error says how long no other one from there is within the limit.
    pub(crate) fn note(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let source = source(address);
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.young.get(&source).or_else(|| buckets.old.get(&source)).copied();
        let next = full_at.map_or(now, |full_at| full_at.max(now)) + self.limit.interval;
        let excess = next.duration_since(now).saturating_sub(self.limit.interval * self.limit.burst);
        if !excess.is_zero() {
            return Err(excess);
        }
        if buckets.young.len() >= GENERATION_MAX && !buckets.young.contains_key(&source) {
            buckets.old = mem::take(&mut buckets.young);
        }
        buckets.young.insert(source, next);
        Ok(())
    }
}

/// What has a bucket: a customer of an internet provider has many addresses of IPv6.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << (128 - 56)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMIT: FailureLimit = FailureLimit { burst: 20, interval: Duration::from_secs(3) };

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[tokio::test]
    async fn failures_beyond_the_burst_are_limited_to_one_an_interval() {
        let (attempts, start) = (FailedAttempts::new(LIMIT), Instant::now());
        let failures = |from: &str, at: Duration| (0..100).flat_map(|_| attempts.note(ip(from), start + at)).count();
        assert_eq!(failures("192.0.2.1", Duration::ZERO), 20);
        assert_eq!(attempts.note(ip("192.0.2.1"), start + SECOND), Err(2 * SECOND));
        assert_eq!(failures("192.0.2.1", 3 * SECOND), 1);
        assert_eq!(failures("192.0.2.1", 33 * SECOND), 10);
        // Others have their own, and one `/56` has one.
        assert_eq!(failures("192.0.2.2", 33 * SECOND), 20);
        assert_eq!(failures("2001:db8:0:100::1", 33 * SECOND), 20);
        assert_eq!(failures("2001:db8:0:1ff::2", 33 * SECOND), 0);
        assert_eq!(failures("2001:db8:0:200::1", 33 * SECOND), 20);
        assert_eq!(failures("::ffff:192.0.2.2", 33 * SECOND), 0);
        assert_eq!(failures("192.0.2.1", 1000 * SECOND), 20);
    }

    #[tokio::test]
    async fn addresses_that_are_remembered_are_bounded_and_the_latest_stay() {
        let (attempts, now) = (FailedAttempts::new(FailureLimit { burst: 1, ..LIMIT }), Instant::now());
        let address = |number: usize| Ipv4Addr::from_bits(u32::try_from(number).unwrap()).into();
        for number in 0..5 * GENERATION_MAX {
            attempts.note(address(number), now).unwrap();
        }
        let buckets = attempts.buckets.lock().unwrap();
        assert_eq!(buckets.young.len() + buckets.old.len(), 2 * GENERATION_MAX);
        drop(buckets);
        assert!(attempts.note(address(4 * GENERATION_MAX), now).is_err());
    }
}
