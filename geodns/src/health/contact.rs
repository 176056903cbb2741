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

    /// Whether an edge is cut off that reports at `now` that it last heard from an origin `silence` ago; `was_cut_off` before. It is until
    /// it is in contact again. `None`: the edge does not say.
    pub(super) fn is_cut_off(&self, was_cut_off: bool, silence: Option<Duration>, now: Duration) -> bool {
        let Some(silence) = silence else { return was_cut_off };
        if is_in_contact(silence) {
            return false;
        }
        let are_others_in_contact = self.since.is_some_and(|since| since.saturating_add(self.after) <= now);
        was_cut_off || are_others_in_contact && silence > self.after.saturating_add(TOLERANCE)
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
        for (was, silence, now, cut_off) in [
            (false, 46, 130, true),
            (false, 45, 130, false),
            (false, 46, 129, false),
            (true, 16, 110, true),
            (true, 15, 130, false),
        ] {
            assert_eq!(fleet.is_cut_off(was, Some(seconds(silence)), seconds(now)), cut_off, "{was} {silence} {now}");
        }
        assert!(!fleet.is_cut_off(false, None, seconds(130)) && fleet.is_cut_off(true, None, seconds(130)));
        // No other is in contact.
        fleet.record(false, seconds(131));
        assert!(!fleet.is_cut_off(false, Some(seconds(900)), seconds(900)));
        assert!(fleet.is_cut_off(true, Some(seconds(900)), seconds(900)));
    }
}
