//! How fast one address may establish TLS connections: a handshake costs the server far more than it costs the client.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

/// Addresses share so many slots, each a few bytes for ever. Two that meet in one share its rate.
const SLOTS: usize = 4096;

/// For how many seconds of its rate an address that has been quiet may go without waiting.
const BURST_SECONDS: u32 = 5;

/// Lets the handshakes of each address begin at a rate, after a burst: each is told how long to wait for its turn.
///
/// A slot has when its address will have used up what it was given, as in the generic cell rate algorithm (ITU-T I.371).
pub(super) struct Handshakes {
    /// The time that one takes at the rate, in microseconds.
    interval: u64,
    /// Nobody waits longer than for so many others.
    queue_max: u64,
    started_at: Instant,
    slots: Box<[AtomicU64]>,
    hasher: RandomState,
}

impl Handshakes {
    /// `per_second` for each address, of which at most `queue_max` wait.
    pub(super) fn new(per_second: NonZeroU32, queue_max: usize) -> Self {
        Self {
            interval: 1_000_000 / u64::from(per_second.get()),
            queue_max: queue_max as u64,
            started_at: Instant::now(),
            slots: (0..SLOTS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
        }
    }

    /// How long the next handshake of an address has to wait.
    pub(super) fn turn(&self, address: IpAddr) -> Duration {
        let now = u64::try_from(self.started_at.elapsed().as_micros()).unwrap_or(u64::MAX);
        let burst = u64::from(BURST_SECONDS) * 1_000_000;
        let latest = now + burst + self.queue_max * self.interval;
        let slot = &self.slots[usize::try_from(self.hasher.hash_one(address)).unwrap_or_default() % SLOTS];
        let used_up =
            slot.fetch_update(Relaxed, Relaxed, |used_up| Some((used_up.max(now) + self.interval).min(latest)));
        let used_up = used_up.unwrap_or_else(|unchanged| unchanged).max(now);
        Duration::from_micros(used_up.saturating_sub(now + burst))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn handshakes_of_an_address_begin_at_the_rate_after_a_burst_and_those_of_others_at_once() {
        let handshakes = Handshakes::new(NonZeroU32::new(10).unwrap(), 20);
        let (busy, quiet) = (Ipv4Addr::new(192, 0, 2, 1).into(), Ipv4Addr::new(192, 0, 2, 2).into());
        let turns = |count| (0..count).map(|_| handshakes.turn(busy).as_millis()).collect::<Vec<_>>();
        assert_eq!(turns(50), [0; 50]);
        assert_eq!(turns(4), [0, 100, 200, 300]);
        assert_eq!(handshakes.turn(quiet), Duration::ZERO);
        // Whoever comes next does not wait for all that have been.
        assert_eq!(turns(1000).last(), Some(&2000));
        tokio::time::advance(Duration::from_secs(3)).await;
        assert_eq!(turns(11), [0; 11]);
        assert_ne!(turns(1), [0]);
        tokio::time::advance(Duration::from_hours(1)).await;
        assert_eq!(turns(51), [0; 51]);
    }
}
