//! The older manifests whose fingerprinted files a channel still serves after a move.

use verge_protocol::purge::{Purge, PurgeScope};
use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};

use crate::store::{ChannelMove, INHERITED_MAX, KEPT_FOR};

/// The most purged scopes that a manifest is inherited without. One with more is not inherited any more.
const WITHOUT_MAX: usize = 64;

/// Chooses the manifests to inherit at a move to `next` at `now`: those that the channel served within [`KEPT_FOR`], each until that
/// long after it was last replaced. `moves` are the channel's moves so far, the latest first.
///
/// The order is that of their last ends, the latest first: of a path's versions edges serve only that of the first manifest that has
/// it.
///
/// A manifest is inherited without what was purged after it was last replaced. `purges` are those of the site, in any order.
///
/// Of two moves the later one counts as not before the earlier one, and none as after `now`: a clock that was set back drops nothing.
pub(crate) fn choose(next: Digest, moves: &[ChannelMove], purges: &[Purge], now: Timestamp) -> Vec<Inherited> {
    let mut latest = Timestamp(0);
    let mut times: Vec<Timestamp> = Vec::with_capacity(moves.len());
    for earlier in moves.iter().rev() {
        latest = latest.max(earlier.moved.min(now));
        times.push(latest);
    }
    // When each was replaced: the time of the move after it, and now for the last one.
    let ends = std::iter::once(now).chain(times.into_iter().rev());
    // The writes that replaced them; `None`: this one.
    let replaced_by = std::iter::once(None).chain(moves.iter().map(|later| Some(later.epoch)));
    let mut seen = vec![next];
    let mut inherited: Vec<Inherited> = Vec::new();
    for ((earlier, end), replaced_by) in moves.iter().zip(ends).zip(replaced_by) {
        let until = end.after(KEPT_FOR);
        if seen.contains(&earlier.manifest) || until <= now || inherited.len() == INHERITED_MAX {
            continue;
        }
        seen.push(earlier.manifest);
        let since = purges.iter().filter(|purge| replaced_by.is_some_and(|replaced_by| purge.seq > replaced_by));
        let whole = Inherited::new(earlier.manifest, until);
        inherited.extend(since.map(|purge| &purge.scope).try_fold(whole, without));
    }
    inherited
}

/// What remains of `inherits` after a purge, which was made after the channel last pointed at any of them.
pub(crate) fn purge(inherits: &[Inherited], scope: &PurgeScope) -> Vec<Inherited> {
    inherits.iter().filter_map(|one| without(one.clone(), scope)).collect()
}

/// `inherited` without the paths of `scope`; `None` if nothing of it is inherited any more.
fn without(mut inherited: Inherited, scope: &PurgeScope) -> Option<Inherited> {
    if inherited.without.iter().any(|known| known.includes(scope)) {
        return Some(inherited);
    }
    inherited.without.retain(|known| !scope.includes(known));
    inherited.without.push(scope.clone());
    let has_rest = *scope != PurgeScope::All && inherited.without.len() <= WITHOUT_MAX;
    has_rest.then_some(inherited)
}

/// What remains of `inherits` at `now`. The origin writes a channel's row again with the rest: edges do not compare `until` with their
/// own clocks.
pub(crate) fn expire(inherits: &[Inherited], now: Timestamp) -> Vec<Inherited> {
    inherits.iter().filter(|one| one.until > now).cloned().collect()
}

#[cfg(test)]
mod tests {
    use verge_protocol::{ReleaseNumber, Seq};

    use super::*;

    const HOUR: u64 = 3_600_000;

    fn manifest(name: &str) -> Digest {
        Digest::of(name.as_bytes())
    }

    /// `moves` are (manifest, hour), the earliest first; the write of each is ten times its place, from 10.
    fn choose_of(next: &str, moves: &[(&str, u64)], purges: &[(u64, &str)], now: u64) -> Vec<Inherited> {
        let epochs = (1..).map(|place| Seq(place * 10));
        let mut moves: Vec<ChannelMove> = moves
            .iter()
            .zip(epochs)
            .map(|((name, hour), epoch)| ChannelMove {
                release: ReleaseNumber(1),
                manifest: manifest(name),
                moved: Timestamp(hour * HOUR),
                epoch,
            })
            .collect();
        moves.reverse();
        let purges: Vec<Purge> =
            purges.iter().map(|(seq, scope)| Purge { seq: Seq(*seq), scope: scope.parse().unwrap() }).collect();
        choose(manifest(next), &moves, &purges, Timestamp(now * HOUR))
    }

    fn chosen(next: &str, moves: &[(&str, u64)], now: u64) -> Vec<(Digest, u64)> {
        let chosen = choose_of(next, moves, &[], now);
        chosen.into_iter().map(|one| (one.manifest, one.until.0 / HOUR)).collect()
    }

    /// The names of the manifests that are inherited, and without what.
    fn chosen_after(moves: &[(&str, u64)], purges: &[(u64, &str)]) -> Vec<(String, Vec<String>)> {
        let name_of = |id: Digest| ["a", "b", "c"].into_iter().find(|name| manifest(name) == id).unwrap().to_owned();
        let chosen = choose_of("x", moves, purges, 9).into_iter();
        chosen.map(|one| (name_of(one.manifest), one.without.iter().map(ToString::to_string).collect())).collect()
    }

    fn without_of(inherits: &[(&str, &[&str])]) -> Vec<(String, Vec<String>)> {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        inherits.iter().map(|(name, without)| ((*name).to_owned(), texts(without))).collect()
    }

    #[test]
    fn purge_takes_paths_out_of_what_was_replaced_before_it_and_of_nothing_else() {
        let moves = [("a", 0), ("b", 1), ("c", 2)];
        // `a` was replaced at 20, `b` at 30, and `c` now.
        assert_eq!(chosen_after(&moves, &[(15, "p")]), without_of(&[("c", &[]), ("b", &[]), ("a", &[])]));
        assert_eq!(chosen_after(&moves, &[(25, "p")]), without_of(&[("c", &[]), ("b", &[]), ("a", &["p"])]));
        assert_eq!(chosen_after(&moves, &[(35, "p")]), without_of(&[("c", &[]), ("b", &["p"]), ("a", &["p"])]));
        assert_eq!(
            chosen_after(&moves, &[(36, "d/*"), (35, "p"), (25, "d/e")]),
            without_of(&[("c", &[]), ("b", &["d/*", "p"]), ("a", &["d/*", "p"])])
        );
        assert_eq!(chosen_after(&moves, &[(25, "*")]), without_of(&[("c", &[]), ("b", &[])]));
    }

    #[test]
    fn purge_before_a_release_became_live_again_does_not_apply_to_it() {
        // A rollback to `a` at 30; it was replaced again at 40.
        let moves = [("a", 0), ("b", 1), ("a", 2), ("c", 3)];
        let expected = without_of(&[("c", &[]), ("a", &[]), ("b", &["p"])]);
        assert_eq!(chosen_after(&moves, &[(35, "p")]), expected);
        assert_eq!(chosen_after(&moves, &[(35, "*")]), without_of(&[("c", &[]), ("a", &[])]));
    }

    #[test]
    fn purge_of_all_paths_does_not_bring_back_an_earlier_life_of_a_release() {
        // `a` was replaced at 20 and, the last time, at 40.
        let moves = [("a", 0), ("b", 1), ("a", 2), ("c", 3)];
        assert_eq!(chosen_after(&moves, &[(45, "*")]), without_of(&[("c", &[])]));
    }

    #[test]
    fn purge_applies_to_all_that_is_inherited_and_many_purges_end_the_inheritance() {
        let scope = |text: &str| text.parse::<PurgeScope>().unwrap();
        let mut inherits =
            vec![Inherited::new(manifest("a"), Timestamp(1)), Inherited::new(manifest("b"), Timestamp(2))];
        for number in 0..WITHOUT_MAX {
            inherits = purge(&inherits, &scope(&format!("d/{number}")));
        }
        assert!(inherits.iter().all(|one| one.without.len() == WITHOUT_MAX));
        assert_eq!(purge(&inherits, &scope("d/0")), inherits, "it is out already");
        assert!(purge(&inherits, &scope("one too many")).is_empty());
        let merged = purge(&inherits, &scope("d/*"));
        assert!(merged.len() == 2 && merged.iter().all(|one| one.without == [scope("d/*")]));
        assert!(purge(&inherits, &PurgeScope::All).is_empty());
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
        let inherited = |name: &str, until| Inherited::new(manifest(name), Timestamp(until));
        let inherits = [inherited("b", 20), inherited("a", 10)];
        assert_eq!(expire(&inherits, Timestamp(9)), inherits);
        assert_eq!(expire(&inherits, Timestamp(10)), inherits[..1]);
        assert_eq!(expire(&inherits, Timestamp(20)), []);
    }
}
