//! Response rate limiting: a server that answers forged questions as fast as they come is somebody's weapon.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::rcode::Rcode;

/// How many like answers go to one network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RateLimit {
    /// Like answers a second, to one /24 or /56. 0: no limit. Of more than 65,535 for each worker, that many.
    pub per_second: u32,
    /// Of what is over the limit, every so many-th is sent cut short, so that who really asks comes again over TCP; 0: none is.
    pub slip: u32,
    /// Networks that are never limited.
    pub exempt: Vec<IpNet>,
}

impl Default for RateLimit {
    /// What comes from this very machine is not forged, and not limited.
    fn default() -> Self {
        let loopback = ["127.0.0.0/8", "::1/128"].map(|network| network.parse().expect("a network"));
        Self { per_second: 200, slip: 2, exempt: loopback.to_vec() }
    }
}

/// What is to be done with an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Send it.
    Send,
    /// Send no more of it than that there is more over TCP.
    Slip,
    /// Send nothing.
    Drop,
}

/// Counts what went where. Its memory is fixed: two networks that share a bucket take turns in it, which only ever lets more pass.
pub(crate) struct Limiter {
    limit: RateLimit,
    /// Answers a second for each bucket.
    rate: f32,
    buckets: Box<[Bucket]>,
    hasher: RandomState,
    over: u32,
}

#[derive(Clone, Copy, Default)]
struct Bucket {
    /// Whose it is.
    tag: u32,
    /// When it was last looked at, in milliseconds.
    at: u32,
    /// Answers that may still go. Refilled to one second's worth at most.
    left: f32,
}

const BUCKETS: usize = 1 << 15;

impl Limiter {
    /// Answers a second that each thread lets pass at least, if the limit is not lower.
    const LEAST: u32 = 20;

    /// One of `workers` that share the limit: a client's questions come from many ports, and so to all of them alike.
    pub(crate) fn new(limit: RateLimit, workers: usize) -> Self {
        let workers = u32::try_from(workers).unwrap_or(u32::MAX).max(1);
        // Of many threads each still lets a resolver ask that is alone with it.
        let share = limit.per_second.div_ceil(workers).max(Self::LEAST.min(limit.per_second));
        let rate = u16::try_from(share).unwrap_or(u16::MAX);
        let buckets = if limit.per_second == 0 { Box::default() } else { vec![Bucket::default(); BUCKETS].into() };
        Self { limit, rate: f32::from(rate), buckets, hasher: RandomState::new(), over: 0 }
    }

    /// Counts an answer to `peer`. `since_start` only grows. Answers are alike when their code and `about` are: the name that was
    /// asked for, or the wildcard or zone that random names below it come to.
    pub(crate) fn check(&mut self, since_start: Duration, peer: IpAddr, rcode: Rcode, about: &[u8]) -> Verdict {
        if self.buckets.is_empty() || self.limit.exempt.iter().any(|network| network.contains(&peer)) {
            return Verdict::Send;
        }
        let mut hasher = self.hasher.build_hasher();
        match peer {
            IpAddr::V4(peer) => hasher.write(&peer.octets()[..3]),
            IpAddr::V6(peer) => hasher.write(&peer.octets()[..7]),
        }
        hasher.write_u16(rcode.0);
        hasher.write(about);
        let hash = hasher.finish().to_le_bytes();
        let place = usize::from(u16::from_le_bytes([hash[0], hash[1]])) % BUCKETS;
        let tag = u32::from_le_bytes([hash[4], hash[5], hash[6], hash[7]]);
        // It wraps after seven weeks, when a bucket may be refilled late.
        let now = u32::try_from(since_start.as_millis() & u128::from(u32::MAX)).unwrap_or_default();
        let bucket = &mut self.buckets[place];
        if bucket.tag != tag {
            *bucket = Bucket { tag, at: now, left: self.rate };
        }
        let passed = Duration::from_millis(now.wrapping_sub(bucket.at).into()).as_secs_f32();
        bucket.left = passed.mul_add(self.rate, bucket.left).min(self.rate);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Verdict::Send;
        }
        self.over = self.over.wrapping_add(1);
        if self.limit.slip > 0 && self.over.is_multiple_of(self.limit.slip) { Verdict::Slip } else { Verdict::Drop }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limiter(per_second: u32, slip: u32) -> Limiter {
        Limiter::new(RateLimit { per_second, slip, exempt: vec!["198.51.100.0/24".parse().unwrap()] }, 1)
    }

    fn sent(limiter: &mut Limiter, second: u64, peer: &str, about: &[u8], count: usize) -> [usize; 3] {
        let mut verdicts = [0; 3];
        for _ in 0..count {
            let at = Duration::from_secs(second);
            verdicts[limiter.check(at, peer.parse().unwrap(), Rcode::NOERROR, about) as usize] += 1;
        }
        verdicts
    }

    #[test]
    fn like_answers_to_one_network_are_limited() {
        let mut limiter = limiter(10, 2);
        assert_eq!(sent(&mut limiter, 0, "192.0.2.1", b"a", 30), [10, 10, 10]);
        assert_eq!(sent(&mut limiter, 0, "192.0.2.99", b"a", 2)[0], 0);
        assert_eq!(sent(&mut limiter, 0, "192.0.2.1", b"b", 5)[0], 5);
        assert_eq!(sent(&mut limiter, 0, "203.0.113.1", b"a", 5)[0], 5);
        assert_eq!(sent(&mut limiter, 1, "192.0.2.1", b"a", 30)[0], 10);
        assert_eq!(sent(&mut limiter, 9, "192.0.2.1", b"a", 30)[0], 10);
    }

    #[test]
    fn of_ipv6_a_site_is_one_network() {
        let mut limiter = limiter(10, 0);
        assert_eq!(sent(&mut limiter, 0, "2001:db8:0:1::1", b"a", 10), [10, 0, 0]);
        assert_eq!(sent(&mut limiter, 0, "2001:db8:0:2::1", b"a", 10), [0, 0, 10]);
        assert_eq!(sent(&mut limiter, 0, "2001:db8:1::1", b"a", 10), [10, 0, 0]);
    }

    #[test]
    fn some_are_never_limited() {
        assert_eq!(sent(&mut limiter(1, 2), 0, "198.51.100.1", b"a", 100)[0], 100);
        assert_eq!(sent(&mut limiter(0, 2), 0, "192.0.2.1", b"a", 100)[0], 100);
    }

    #[test]
    fn workers_share_the_limit() {
        let limit = RateLimit { per_second: 100, slip: 1, exempt: Vec::new() };
        assert_eq!(sent(&mut Limiter::new(limit.clone(), 2), 0, "192.0.2.1", b"a", 60), [50, 10, 0]);
        assert_eq!(sent(&mut Limiter::new(limit, 50), 0, "192.0.2.1", b"a", 60), [20, 40, 0]);
    }
}
