//! Which older manifests a channel keeps serving the fingerprinted files of, after a switch.

use std::time::Duration;

use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};

use crate::store::ChannelMove;

/// For how long a tab may stay open and still find its chunks.
pub(crate) const KEPT_FOR: Duration = Duration::from_hours(24);

/// How many older manifests are kept at most.
pub(crate) const MOST: usize = 8;

/// Chooses, at a switch to `next` at `now`: whatever was live within [`KEPT_FOR`], the latest first, each until that long after it
/// last ceased to be. `moves` are the channel's moves so far, the latest first.
pub(crate) fn choose(next: Digest, moves: &[ChannelMove], now: Timestamp) -> Vec<Inherited> {
    let mut inherited: Vec<Inherited> = Vec::new();
    let mut ended = now;
    for earlier in moves {
        let until = ended.after(KEPT_FOR);
        ended = earlier.moved;
        if until <= now {
            break;
        }
        let known = earlier.manifest == next || inherited.iter().any(|one| one.manifest == earlier.manifest);
        if !known && inherited.len() < MOST {
            inherited.push(Inherited { manifest: earlier.manifest, until });
        }
    }
    inherited
}

#[cfg(test)]
mod tests {
    use verge_protocol::ReleaseNumber;

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn manifest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// Moves in order of time: (manifest, hour).
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
    fn the_first_release_inherits_nothing() {
        assert_eq!(chosen("a", &[], 0), []);
    }

    #[test]
    fn what_was_live_within_a_day_is_kept_for_a_day_after_its_end() {
        let moves = [("a", 0), ("b", 10), ("c", 30)];
        assert_eq!(chosen("d", &moves, 31), [(manifest("c"), 55), (manifest("b"), 54), (manifest("a"), 34)]);
        assert_eq!(chosen("d", &moves, 40), [(manifest("c"), 64), (manifest("b"), 54)]);
        assert_eq!(chosen("d", &moves, 900), [(manifest("c"), 924)]);
    }

    #[test]
    fn a_rollback_keeps_what_it_leaves() {
        assert_eq!(chosen("a", &[("a", 0), ("b", 1)], 2), [(manifest("b"), 26)]);
    }

    #[test]
    fn a_manifest_counts_once_by_its_last_end() {
        assert_eq!(chosen("c", &[("a", 0), ("b", 1), ("a", 2)], 3), [(manifest("a"), 27), (manifest("b"), 26)]);
    }

    #[test]
    fn at_most_eight_are_kept() {
        let names: Vec<String> = (0..20).map(|number| number.to_string()).collect();
        let moves: Vec<(&str, u64)> = names.iter().map(|name| (name.as_str(), 0)).collect();
        let kept = chosen("x", &moves, 1);
        assert_eq!(kept.len(), MOST);
        assert_eq!(kept[0].0, manifest("19"));
    }
}
