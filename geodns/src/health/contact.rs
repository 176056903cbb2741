//! Which edges are cut off from their origins while others are not.
//!
//! Such an edge serves what it has, and misses the next release, purge or erasure: readers are routed elsewhere before that. When no edge is
//! in contact with an origin, those that lost it first serve no less than the others; and when it is back, all of them connect within
//! seconds.

use std::time::Duration;

use verge_protocol::feed::HEARTBEAT_SECONDS;

/// How long ago an edge may have heard from an origin and still be in contact: so long a feed may be silent before it is connected anew.
const TOLERANCE: Duration = Duration::from_secs(3 * HEARTBEAT_SECONDS);

/// Whether an edge that last heard from an origin so long ago is in contact.
pub(super) fn is_in_contact(silence: Duration) -> bool {
    silence <= TOLERANCE
}

/// How much longer than the edge that heard last an edge must not have heard. Edges hear heartbeats at different times, and a whole fleet that
/// is cut off at once is not one edge after the other.
const LEAST_DIFFERENCE: Duration = TOLERANCE;

/// Since when some edge has been in contact. Times are since the start of the daemon.
#[derive(Debug)]
pub(super) struct FleetContact {
    /// [`lag_after`](super::HealthConfig::lag_after).
    after: Duration,
    since: Option<Duration>,
}

impl FleetContact {
    /// No edge is known to be in contact.
    pub(super) fn new(after: Duration) -> Self {
        Self { after, since: None }
    }

    /// Records whether some edge is in contact at `now`.
    pub(super) fn record(&mut self, is_any_in_contact: bool, now: Duration) {
        self.since = is_any_in_contact.then(|| self.since.unwrap_or(now));
    }

    /// Whether an edge is cut off that reports at `now` that it last heard from an origin `silence` ago, and the edge that heard last did so
    /// `shortest` ago; `was_cut_off` before. It is until it is in contact again. `None`: the edge does not say.
    pub(super) fn is_cut_off(
        &self,
        was_cut_off: bool,
        silence: Option<Duration>,
        shortest: Duration,
        now: Duration,
    ) -> bool {
        let Some(silence) = silence else { return was_cut_off };
        if is_in_contact(silence) {
            return false;
        }
        let are_others_in_contact = self.since.is_some_and(|since| since.saturating_add(self.after) <= now);
        let is_alone = silence.saturating_sub(shortest) > LEAST_DIFFERENCE;
        was_cut_off || are_others_in_contact && is_alone && silence > self.after.saturating_add(TOLERANCE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn edge_is_cut_off_while_others_are_in_contact_for_long_and_until_it_is_itself() {
        let mut fleet = FleetContact::new(seconds(30));
        fleet.record(true, seconds(100));
        fleet.record(true, seconds(120));
        for (was, silence, shortest, now, cut_off) in [
            (false, 46, 0, 130, true),
            (false, 46, 30, 130, true),
            (false, 46, 31, 130, false),
            (false, 45, 0, 130, false),
            (false, 46, 0, 129, false),
            (true, 16, 0, 110, true),
            (true, 15, 0, 130, false),
        ] {
            let (silence, shortest) = (seconds(silence), seconds(shortest));
            let found = fleet.is_cut_off(was, Some(silence), shortest, seconds(now));
            assert_eq!(found, cut_off, "{was} {silence:?} {shortest:?} {now}");
        }
        let unknown = |was| fleet.is_cut_off(was, None, Duration::ZERO, seconds(130));
        assert!(!unknown(false) && unknown(true));
        // No other is in contact.
        fleet.record(false, seconds(131));
        let silent = |was| fleet.is_cut_off(was, Some(seconds(900)), Duration::ZERO, seconds(900));
        assert!(!silent(false) && silent(true));
    }

    #[test]
    fn fleet_that_is_cut_off_at_once_is_whole_however_soon_an_edge_counts_as_behind() {
        let mut fleet = FleetContact::new(seconds(2));
        fleet.record(true, seconds(100));
        // One heard its last heartbeat just before, the other was about to; their probes come at different times.
        for after in 0..300 {
            let (first, last) = (seconds(HEARTBEAT_SECONDS + after), seconds(after));
            fleet.record(is_in_contact(first) || is_in_contact(last), seconds(200 + after));
            assert!(!fleet.is_cut_off(false, Some(first), last, seconds(200 + after)), "{after}");
        }
    }
}
