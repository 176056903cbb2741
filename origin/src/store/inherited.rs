//! The releases that a channel inherits from, as its row lists them.

use std::cmp::Reverse;
use std::time::Duration;

use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Timestamp};

/// How long a browser tab may stay open and still load the chunks of its release.
pub(crate) const KEPT_FOR: Duration = Duration::from_hours(24);

/// The most manifests that a channel inherits from.
pub(crate) const INHERITED_MAX: usize = 8;

/// `inherits` and what else the channel inherited until now, the latest first: its past moves do not tell which releases only
/// readers of a canary's edges got, nor how far the clock that calls them past is ahead. `served` is the manifest that the channel points at.
///
/// Of a manifest in both, `kept` tells which paths are not inherited: every purge since readers last got it was noted there.
pub(crate) fn with_kept(mut inherits: Vec<Inherited>, kept: Vec<Inherited>, served: Digest) -> Vec<Inherited> {
    for one in kept.into_iter().filter(|one| one.manifest != served) {
        match inherits.iter_mut().find(|known| known.manifest == one.manifest) {
            Some(known) => known.without = one.without,
            None => inherits.push(one),
        }
    }
    inherits.sort_by_key(|one| Reverse(one.until));
    inherits.truncate(INHERITED_MAX);
    inherits
}

/// What a channel that points at `served` and inherited `kept` inherits after a canary of `release` was taken back at `now`. Readers got
/// all of its paths again, whatever was purged before.
pub(crate) fn after_canary(
    release: Digest,
    mut kept: Vec<Inherited>,
    served: Digest,
    now: Timestamp,
) -> Vec<Inherited> {
    kept.retain(|one| one.manifest != release);
    with_kept(vec![Inherited::new(release, now.after(KEPT_FOR))], kept, served)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(name: &str, until: u64, without: &[&str]) -> Inherited {
        let without = without.iter().map(|scope| scope.parse().unwrap()).collect();
        Inherited { without, ..Inherited::new(Digest::of(name.as_bytes()), Timestamp(until)) }
    }

    #[test]
    fn release_of_an_abandoned_canary_stays_inherited_after_a_move() {
        let served = Digest::of(b"served");
        let kept = vec![one("canary", 70, &[]), one("served", 80, &[]), one("old", 60, &[])];
        let inherits = with_kept(vec![one("before", 90, &[]), one("old", 60, &[])], kept, served);
        assert_eq!(inherits, [one("before", 90, &[]), one("canary", 70, &[]), one("old", 60, &[])]);
        let many = (0..20).map(|number| one(&number.to_string(), 100 + number, &[])).collect();
        assert_eq!(with_kept(many, vec![one("canary", 200, &[])], served).len(), INHERITED_MAX);
    }

    #[test]
    fn purged_path_stays_out_of_a_kept_release_after_a_move_and_is_back_after_a_canary_of_it() {
        let served = Digest::of(b"served");
        let kept = vec![one("old", 60, &["p"])];
        assert_eq!(with_kept(vec![one("old", 50, &[])], kept.clone(), served), [one("old", 50, &["p"])]);
        let until = Timestamp(7).after(KEPT_FOR).0;
        let tried_again = after_canary(Digest::of(b"old"), kept, served, Timestamp(7));
        assert_eq!(tried_again, [one("old", until, &[])]);
        let moved = with_kept(vec![one("old", 50, &["p"])], tried_again, served);
        assert_eq!(moved, [one("old", 50, &[])], "the purge was before the canary");
    }
}
