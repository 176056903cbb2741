//! The older manifests whose fingerprinted files a channel still serves after a move.

use std::time::Duration;

use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};

use crate::store::ChannelMove;

/// How long a browser tab may stay open and still load the chunks of its release.
pub(crate) const KEPT_FOR: Duration = Duration::from_hours(24);

/// The most manifests that are inherited.
const INHERITED_MAX: usize = 8;

/// Chooses the manifests to inherit at a move to `next` at `now`: those that the channel served within [`KEPT_FOR`], each until that
/// long after it was last replaced. `moves` are the channel's moves so far, the latest first.
///
/// The order is that of their last ends, the latest first: of a path's versions edges serve only that of the first manifest that has
/// it.
///
/// Of two moves the later one counts as not before the earlier one, and none as after `now`: a clock that was set back drops nothing.
pub(crate) fn choose(next: Digest, moves: &[ChannelMove], now: Timestamp) -> Vec<Inherited> {
    let mut latest = Timestamp(0);
    let mut times: Vec<Timestamp> = Vec::with_capacity(moves.len());
    for earlier in moves.iter().rev() {
        latest = latest.max(earlier.moved.min(now));
        times.push(latest);
    }
    // When each was replaced: the time of the move after it, and now for the last one.
    let ends = std::iter::once(now).chain(times.into_iter().rev());
    let mut inherited: Vec<Inherited> = Vec::new();
    for (earlier, end) in moves.iter().zip(ends) {
        let until = end.after(KEPT_FOR);
        let known = earlier.manifest == next || inherited.iter().any(|one| one.manifest == earlier.manifest);
        if !known && until > now && inherited.len() < INHERITED_MAX {
            inherited.push(Inherited { manifest: earlier.manifest, until });
        }
    }
    inherited
}

/// What remains of `inherits` at `now`; `None` if that is all of it. The origin writes a channel's row again with the rest: edges do
/// not compare `until` with their own clocks.
pub(crate) fn expire(inherits: &[Inherited], now: Timestamp) -> Option<Vec<Inherited>> {
    let rest: Vec<Inherited> = inherits.iter().filter(|one| one.until > now).copied().collect();
    (rest.len() < inherits.len()).then_some(rest)
}

#[cfg(test)]
mod tests {
    use verge_protocol::ReleaseNumber;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn manifest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// `moves` are (manifest, hour), the earliest first.
    fn chosen(next: &str, moves: &[(&str, u64)], now: u64) -> Vec<(Digest, u64)> {
        let moves: Vec<ChannelMove> = moves
            .iter()
            .rev()
            .map(|(name, hour)| ChannelMove {
                release: ReleaseNumber(1),
                manifest: manifest(name),
                moved: Timestamp(hour * HOUR),
            })
            .collect();
        let chosen = choose(manifest(next), &moves, Timestamp(now * HOUR));
        chosen.into_iter().map(|one| (one.manifest, one.until.0 / HOUR)).collect()
    }

    #[test]
    fn a_first_release_inherits_nothing() {
        assert_eq!(chosen("a", &[], 0), []);
    }

    #[test]
    fn a_manifest_served_within_a_day_is_inherited_for_a_day_after_its_end() {
        let moves = [("a", 0), ("b", 10), ("c", 30)];
        assert_eq!(chosen("d", &moves, 31), [(manifest("c"), 55), (manifest("b"), 54), (manifest("a"), 34)]);
        assert_eq!(chosen("d", &moves, 40), [(manifest("c"), 64), (manifest("b"), 54)]);
        assert_eq!(chosen("d", &moves, 900), [(manifest("c"), 924)]);
    }

    #[test]
    fn a_rollback_inherits_the_manifest_that_it_replaces() {
        assert_eq!(chosen("a", &[("a", 0), ("b", 1)], 2), [(manifest("b"), 26)]);
    }

    #[test]
    fn a_manifest_served_twice_is_inherited_once_by_its_last_end() {
        assert_eq!(chosen("c", &[("a", 0), ("b", 1), ("a", 2)], 3), [(manifest("a"), 27), (manifest("b"), 26)]);
    }

    #[test]
    fn at_most_eight_manifests_are_inherited() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let moves: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let kept = chosen("x", &moves, 1);
        assert_eq!(kept.len(), INHERITED_MAX);
        assert_eq!(kept[0].0, manifest("19"));
    }

    #[test]
    fn manifest_replaced_by_a_clock_ahead_is_inherited_for_a_day_from_now() {
        // The clock was 25 hours ahead when `b` and `c` went live.
        let moves = [("a", 0), ("b", 30), ("c", 31)];
        assert_eq!(chosen("d", &moves, 6), [(manifest("c"), 30), (manifest("b"), 30), (manifest("a"), 30)]);
    }

    #[test]
    fn manifest_replaced_by_a_clock_behind_is_inherited_as_of_the_move_before() {
        // The clock was 40 hours behind when `c` went live, and right again after that.
        let moves = [("a", 50), ("b", 60), ("c", 21), ("d", 62)];
        let kept = [(manifest("d"), 87), (manifest("c"), 86), (manifest("b"), 84), (manifest("a"), 84)];
        assert_eq!(chosen("e", &moves, 63), kept);
    }

    #[test]
    fn inherited_manifests_expire_when_their_time_is_over_and_not_before() {
        let inherited = |name: &str, until| Inherited { manifest: manifest(name), until: Timestamp(until) };
        let inherits = [inherited("b", 20), inherited("a", 10)];
        assert_eq!(expire(&inherits, Timestamp(9)), None);
        assert_eq!(expire(&inherits, Timestamp(10)), Some(vec![inherits[0]]));
        assert_eq!(expire(&inherits, Timestamp(20)), Some(Vec::new()));
        assert_eq!(expire(&[], Timestamp(20)), None);
    }
}
