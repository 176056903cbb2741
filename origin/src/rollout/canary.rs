//! The trial of a release on a few edges: which edges, and whether what readers got is good.

use std::collections::BTreeSet;

use verge_protocol::canary::{CanaryShare, ResponseCounts};
use verge_protocol::{Digest, EdgeName};

/// One way in which a release can be bad.
struct Symptom {
    /// As in "12 of 400 responses …".
    text: &'static str,
    count: fn(&ResponseCounts) -> u64,
    /// Fewer cases than this prove nothing.
    least: u64,
    /// The share of responses, in a thousand, by which it may exceed twice that of the release before.
    tolerance: u64,
}

const SYMPTOMS: [Symptom; 3] = [
    Symptom { text: "failed (5xx)", count: |counts| counts.server_errors, least: 5, tolerance: 10 },
    Symptom {
        text: "were scripts and styles that its own pages name and lack",
        count: |counts| counts.missing_assets,
        least: 3,
        tolerance: 5,
    },
    Symptom { text: "were not found (404)", count: |counts| counts.not_found, least: 10, tolerance: 20 },
];

/// Chooses the edges of a trial among the `prepared` ones, of `live` edges in all: others for each release, always the same for one.
/// Empty if no edge would be left that serves the release before, since a trial on all edges is none.
pub(super) fn choose(
    share: CanaryShare,
    release: Digest,
    prepared: impl Iterator<Item = EdgeName>,
    live: usize,
) -> BTreeSet<EdgeName> {
    let rank = |edge: &EdgeName| Digest::of(format!("{release} {edge}").as_bytes());
    let mut ranked: Vec<(Digest, EdgeName)> = prepared.map(|edge| (rank(&edge), edge)).collect();
    let count = share.of(live);
    if count >= live || ranked.is_empty() {
        return BTreeSet::new();
    }
    ranked.sort_unstable();
    ranked.into_iter().take(count).map(|(_, edge)| edge).collect()
}

/// Whether what readers got from the release on trial is bad, compared with what others got meanwhile from the one before; why, for a
/// person to read. Few readers prove nothing: then it is not.
pub(super) fn verdict(canary: &ResponseCounts, baseline: &ResponseCounts) -> Option<String> {
    let thousandths =
        |cases: u64, counts: &ResponseCounts| cases.saturating_mul(1000).checked_div(counts.responses).unwrap_or(0);
    SYMPTOMS.iter().find_map(|symptom| {
        let (cases, before) = ((symptom.count)(canary), (symptom.count)(baseline));
        let allowed = thousandths(before, baseline).saturating_mul(2).saturating_add(symptom.tolerance);
        (cases >= symptom.least && thousandths(cases, canary) > allowed).then(|| {
            format!(
                "{cases} of {} responses {}; with the release before it, {before} of {}",
                canary.responses, symptom.text, baseline.responses
            )
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(responses: u64, not_found: u64, server_errors: u64, missing_assets: u64) -> ResponseCounts {
        ResponseCounts { responses, not_found, server_errors, missing_assets }
    }

    #[test]
    fn release_is_bad_if_its_share_of_failures_is_far_above_that_of_the_release_before() {
        let baseline = counts(10_000, 100, 10, 0);
        for (canary, expected) in [
            (counts(0, 0, 0, 0), None),
            (counts(400, 8, 0, 0), None),
            (
                counts(400, 17, 0, 0),
                Some("17 of 400 responses were not found (404); with the release before it, 100 of 10000"),
            ),
            (counts(9, 9, 0, 0), None),
            (counts(400, 0, 4, 0), None),
            (counts(400, 0, 6, 0), Some("6 of 400 responses failed (5xx); with the release before it, 10 of 10000")),
            (
                counts(400, 3, 0, 3),
                Some(
                    "3 of 400 responses were scripts and styles that its own pages name and lack; with the release before it, 0 of 10000",
                ),
            ),
            (counts(100_000, 900, 100, 20), None),
        ] {
            assert_eq!(verdict(&canary, &baseline).as_deref(), expected, "{canary:?}");
        }
    }

    #[test]
    fn site_on_which_many_pages_are_missing_anyway_is_not_blamed_on_the_release() {
        assert_eq!(verdict(&counts(100, 30, 0, 0), &counts(1000, 290, 0, 0)), None);
        assert!(
            verdict(&counts(100, 30, 0, 0), &counts(0, 0, 0, 0)).is_some(),
            "without readers of the release before"
        );
    }

    #[test]
    fn edges_of_a_trial_differ_between_releases_and_leave_at_least_one() {
        let edges = |count: usize| (0..count).map(|number| format!("edge-{number}").parse().unwrap());
        let chosen = |release: &[u8], share: &str, count| {
            choose(share.parse().unwrap(), Digest::of(release), edges(count), count)
        };
        assert_eq!(chosen(b"a", "5%", 40).len(), 2);
        assert_eq!(chosen(b"a", "1", 40), chosen(b"a", "1", 40));
        let firsts: BTreeSet<_> = (0..20_u8).map(|release| chosen(&[release], "1", 10)).collect();
        assert!(firsts.len() > 5, "{firsts:?}");
        assert!(chosen(b"a", "1", 1).is_empty() && chosen(b"a", "3", 3).is_empty());
    }
}
