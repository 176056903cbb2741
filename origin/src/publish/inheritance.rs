//! The older manifests whose fingerprinted files a channel still serves after a move.

use std::time::Duration;

use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};

use crate::store::ChannelMove;

/// How long a browser tab may stay open and still load the chunks of its release.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// The most manifests that are inherited.
const INHERITED_MAX: usize = 8;

/// Chooses the manifests to inherit at a move to `next` at `now`: those that the channel served within [`KEPT_FOR`], the latest first,
/// each until that long after it was last replaced. `moves` are the channel's moves so far, the latest first.
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
        if !known && inherited.len() < INHERITED_MAX {
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
}
