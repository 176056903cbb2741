//! Response rate limiting: keeps this server from being used to flood the forged source address of queries.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::message::Rcode;

/// How many similar responses one network gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Similar responses a second to one IPv4 /24 or IPv6 /56; 0: no limit. At most 65,535 for each worker.
    pub per_second: u32,
    /// Of the responses beyond the limit, one in this many is sent truncated, so that a real client retries over TCP; 0: none is.
    pub slip: u32,
    /// Networks without a limit.
    pub exempt: Vec<IpNet>,
}

impl Default for RateLimit {
    /// Loopback addresses cannot be forged, and are exempt.
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
        Self { per_second: 200, slip: 2, exempt: loopback.to_vec() }
    }
}

/// What to do with a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RateLimitAction {
    Send,
    /// Send it truncated (TC), without records.
    Slip,
    Drop,
}

/// Counts responses in token buckets. Its memory is fixed: networks whose hashes collide replace each other's bucket, which only
/// lets more pass.
pub(crate) struct RateLimiter {
    limit: RateLimit,
    /// Responses a second for each bucket.
    rate: f32,
    buckets: Box<[Bucket]>,
    hasher: RandomState,
    over_limit: u32,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Part of the hash of the network and the key that it is for.
    tag: u32,
    /// When it was last refilled, in milliseconds.
    refilled_at: u32,
    /// Responses that may still be sent: at most those of one second.
    left: f32,
}

const BUCKETS: usize = 1 << 15;

impl RateLimiter {
    /// The least responses a second for one worker, if the limit is not lower.
    const MIN_PER_WORKER: u32 = 20;

    /// The limiter of one of `workers`, which share the limit: the kernel spreads the queries of a client over them by port.
    pub(crate) fn new(limit: RateLimit, workers: usize) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        // Also with many workers, a resolver whose queries all go to one of them gets enough.
        let share = limit.per_second.div_ceil(workers).max(Self::MIN_PER_WORKER.min(limit.per_second));
        let rate = u16::try_from(share).unwrap_or(u16::MAX);
        let buckets = if limit.per_second == 0 { Box::default() } else { vec![Bucket::default(); BUCKETS].into() };
        Self { limit, rate: f32::from(rate), buckets, hasher: RandomState::new(), over_limit: 0 }
    }

    /// Counts a response to `peer`. `since_start` must never decrease. Responses with the same `rcode` and `key` are similar: the
    /// key is QNAME, or the wildcard or zone that stands for random names below it.
    pub(crate) fn check(&mut self, since_start: Duration, peer: IpAddr, rcode: Rcode, key: &[u8]) -> RateLimitAction {
        if self.buckets.is_empty() || self.limit.exempt.iter().any(|network| network.contains(&peer)) {
            return RateLimitAction::Send;
        }
        let mut hasher = self.hasher.build_hasher();
        match peer {
            IpAddr::V4(peer) => hasher.write(&peer.octets()[..3]),
            IpAddr::V6(peer) => hasher.write(&peer.octets()[..7]),
        }
        hasher.write_u16(rcode.0);
        hasher.write(key);
        let hash = hasher.finish().to_le_bytes();
        let index = usize::from(u16::from_le_bytes([hash[0], hash[1]])) % BUCKETS;
        let tag = u32::from_le_bytes([hash[4], hash[5], hash[6], hash[7]]);
        // Wraps after seven weeks; then a bucket may be refilled late.
        let now = u32::try_from(since_start.as_millis() & u128::from(u32::MAX)).unwrap_or_default();
        let bucket = &mut self.buckets[index];
        if bucket.tag != tag {
            *bucket = Bucket { tag, refilled_at: now, left: self.rate };
        }
        let elapsed = Duration::from_millis(now.wrapping_sub(bucket.refilled_at).into()).as_secs_f32();
        bucket.left = elapsed.mul_add(self.rate, bucket.left).min(self.rate);
        bucket.refilled_at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return RateLimitAction::Send;
        }
        self.over_limit = self.over_limit.wrapping_add(1);
        if self.limit.slip > 0 && self.over_limit.is_multiple_of(self.limit.slip) {
            RateLimitAction::Slip
        } else {
            RateLimitAction::Drop
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, slip: u32) -> RateLimiter {
        RateLimiter::new(RateLimit { per_second, slip, exempt: vec!["198.51.100.0/24".parse().unwrap()] }, 1)
    }

    /// How many of `count` responses are sent, slipped and dropped.
    fn actions(limiter: &mut RateLimiter, second: u64, peer: &str, key: &[u8], count: usize) -> [usize; 3] {
        let mut actions = [0; 3];
        for _ in 0..count {
            let at = Duration::from_secs(second);
            actions[limiter.check(at, peer.parse().unwrap(), Rcode::NOERROR, key) as usize] += 1;
        }
        actions
    }

    #[test]
    fn similar_responses_to_one_network_are_limited() {
        let mut limiter = limiter(10, 2);
        assert_eq!(actions(&mut limiter, 0, "192.0.2.1", b"a", 30), [10, 10, 10]);
        assert_eq!(actions(&mut limiter, 0, "192.0.2.99", b"a", 2)[0], 0);
        assert_eq!(actions(&mut limiter, 0, "192.0.2.1", b"b", 5)[0], 5);
        assert_eq!(actions(&mut limiter, 0, "203.0.113.1", b"a", 5)[0], 5);
        assert_eq!(actions(&mut limiter, 1, "192.0.2.1", b"a", 30)[0], 10);
        assert_eq!(actions(&mut limiter, 9, "192.0.2.1", b"a", 30)[0], 10);
    }

    #[test]
    fn addresses_of_one_ipv6_56_share_a_limit() {
        let mut limiter = limiter(10, 0);
        assert_eq!(actions(&mut limiter, 0, "2001:db8:0:1::1", b"a", 10), [10, 0, 0]);
        assert_eq!(actions(&mut limiter, 0, "2001:db8:0:2::1", b"a", 10), [0, 0, 10]);
        assert_eq!(actions(&mut limiter, 0, "2001:db8:1::1", b"a", 10), [10, 0, 0]);
    }

    #[test]
    fn exempt_networks_and_limit_0_are_never_limited() {
        assert_eq!(actions(&mut limiter(1, 2), 0, "198.51.100.1", b"a", 100)[0], 100);
        assert_eq!(actions(&mut limiter(0, 2), 0, "192.0.2.1", b"a", 100)[0], 100);
    }

    #[test]
    fn workers_share_the_limit_down_to_a_minimum() {
        let limit = RateLimit { per_second: 100, slip: 1, exempt: Vec::new() };
        assert_eq!(actions(&mut RateLimiter::new(limit.clone(), 2), 0, "192.0.2.1", b"a", 60), [50, 10, 0]);
        assert_eq!(actions(&mut RateLimiter::new(limit, 50), 0, "192.0.2.1", b"a", 60), [20, 40, 0]);
    }
}
