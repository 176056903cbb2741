//! Whether what readers got from the edges of a canary is good.

use verge_protocol::canary::ResponseCounts;

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

/// In what way the responses of the `canary` edges are bad, compared with what other readers got meanwhile from the release before; for
/// a person to read. `None` if they are not, or too few to prove anything.
pub(super) fn symptom(canary: &ResponseCounts, baseline: &ResponseCounts) -> Option<String> {
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
            assert_eq!(symptom(&canary, &baseline).as_deref(), expected, "{canary:?}");
        }
    }

    #[test]
    fn site_on_which_many_pages_are_missing_anyway_is_not_blamed_on_the_release() {
        assert_eq!(symptom(&counts(100, 30, 0, 0), &counts(1000, 290, 0, 0)), None);
        assert!(
            symptom(&counts(100, 30, 0, 0), &counts(0, 0, 0, 0)).is_some(),
            "without readers of the release before"
        );
    }
}
