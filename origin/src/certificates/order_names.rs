//! Which of the names that a certificate should have are ordered now: those whose control an authority could not verify are left out for a
//! time, so that the others get their certificate. Pure.

use verge_protocol::{CertificateName, Timestamp};

use super::plan::{Current, Failures, Wanted};
use crate::store::{FailedName, FailedNames};

/// After how many failures a name is left out of a certificate that others wait for.
const FAILURES_MAX: u32 = 3;

/// The certificate to order at `now`. A name that failed is left out until it may be tried again. One that the current certificate has stays
/// in until that has less than a sixth of its lifetime left, or, if the order is more than a renewal, after a few failures: other names are
/// to be added, or the key is to be replaced. If every name failed, none is left out.
pub(super) fn orderable(wanted: &Wanted, current: Option<&Current>, failed: &FailedNames, now: Timestamp) -> Wanted {
    let is_due_again = |name: &CertificateName| match failed.get(name) {
        Some(failed) => now >= failures(failed).next(name.domain(), now),
        None => true,
    };
    let lasts = current.filter(|current| {
        let lifetime = current.not_before.age(current.not_after);
        now.after(lifetime / 6) < current.not_after
    });
    let is_renewal = |current: &Current| {
        let mut added = wanted.names.difference(&current.names).filter(|name| is_due_again(name));
        current.has_key && !current.is_rekeyed && added.next().is_none()
    };
    let is_given_up = |name: &CertificateName| failed.get(name).is_some_and(|failed| failed.failures >= FAILURES_MAX);
    let is_kept = |name: &CertificateName| {
        lasts.is_some_and(|current| current.names.contains(name) && (is_renewal(current) || !is_given_up(name)))
    };
    let names = wanted.names.iter().filter(|name| is_due_again(name) || is_kept(name)).cloned().collect();
    let ordered = Wanted { domain: wanted.domain.clone(), names };
    if ordered.names.is_empty() { wanted.clone() } else { ordered }
}

/// The names of `reasons` with one more failure, for these reasons.
pub(super) fn add_failures<'a>(
    failed: &FailedNames,
    reasons: impl IntoIterator<Item = (&'a CertificateName, &'a String)>,
    now: Timestamp,
) -> FailedNames {
    let add = |(name, problem): (&CertificateName, &String)| {
        let Failures { count, first, last, .. } = failed.get(name).map(failures).unwrap_or_default().add(now, None);
        let problem = problem.clone();
        (name.clone(), FailedName { failures: count, first_failure: first, last_failure: last, problem })
    };
    reasons.into_iter().map(add).collect()
}

fn failures(failed: &FailedName) -> Failures {
    let not_before = Timestamp::default();
    Failures { count: failed.failures, first: failed.first_failure, last: failed.last_failure, not_before }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::time::Duration;

    use super::*;

    const DAY: Duration = Duration::from_hours(24);
    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn names(texts: &[&str]) -> BTreeSet<CertificateName> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn failed(texts: &[&str], times: u32, at: Timestamp) -> FailedNames {
        let reasons: Vec<_> = names(texts).into_iter().map(|name| (name, "refused".to_owned())).collect();
        let mut failed = FailedNames::new();
        for _ in 0..times {
            failed = add_failures(&failed, reasons.iter().map(|(name, reason)| (name, reason)), at);
        }
        failed
    }

    /// What is ordered of `a`, `b` and `c`, with a certificate for `current` that has so many of its 90 days left.
    fn ordered(current: Option<(&[&str], u32)>, failed: &FailedNames, now: Timestamp) -> Vec<String> {
        ordered_with(current, failed, now, |_| {})
    }

    fn ordered_with(
        current: Option<(&[&str], u32)>,
        failed: &FailedNames,
        now: Timestamp,
        change: impl FnOnce(&mut Current),
    ) -> Vec<String> {
        let wanted =
            Wanted { domain: "a.example".parse().unwrap(), names: names(&["a.example", "b.example", "c.example"]) };
        let mut current = current.map(|(texts, left)| Current {
            names: names(texts),
            not_before: Timestamp(now.after(DAY * left).0 - 90 * 86_400_000),
            not_after: now.after(DAY * left),
            has_key: true,
            is_rekeyed: false,
            renewal_window: None,
        });
        current.as_mut().map(change);
        let ordered = orderable(&wanted, current.as_ref(), failed, now);
        assert_eq!(ordered.domain, wanted.domain);
        ordered.names.iter().map(|name| name.to_string().replace(".example", "")).collect()
    }

    #[test]
    fn name_that_failed_is_left_out_until_it_may_be_tried_again() {
        let once = failed(&["b.example"], 1, NOW);
        assert_eq!(ordered(None, &FailedNames::new(), NOW), ["a", "b", "c"]);
        assert_eq!(ordered(None, &once, NOW), ["a", "c"]);
        assert_eq!(ordered(None, &once, NOW.after(Duration::from_mins(6))), ["a", "b", "c"]);
        let often = failed(&["b.example"], 9, NOW);
        assert_eq!(ordered(None, &often, NOW.after(Duration::from_hours(11))), ["a", "c"]);
        assert_eq!(ordered(None, &often, NOW.after(Duration::from_hours(14))), ["a", "b", "c"], "it is not given up");
        // The domain that identifies the certificate is no exception.
        assert_eq!(ordered(None, &failed(&["a.example", "b.example"], 1, NOW), NOW), ["c"]);
        // What was recorded under a clock that was ahead by a year holds nothing back.
        assert_eq!(ordered(None, &failed(&["b.example"], 9, NOW.after(DAY * 365)), NOW), ["a", "b", "c"]);
    }

    #[test]
    fn name_of_the_current_certificate_is_left_out_only_when_that_is_about_to_expire() {
        let often = failed(&["b.example"], 9, NOW);
        let all = ["a.example", "b.example", "c.example"];
        assert_eq!(ordered(Some((&all, 20)), &often, NOW), ["a", "b", "c"]);
        assert_eq!(ordered(Some((&all, 14)), &often, NOW), ["a", "c"]);
        assert_eq!(ordered(Some((&["a.example"], 60)), &often, NOW), ["a", "c"], "it does not have the name");
    }

    #[test]
    fn name_that_goes_on_failing_holds_up_no_other_name_and_no_other_key() {
        let (twice, often) = (failed(&["b.example"], 2, NOW), failed(&["b.example"], 3, NOW));
        let current: Option<(&[&str], u32)> = Some((&["a.example", "b.example"], 60));
        assert_eq!(ordered(current, &twice, NOW), ["a", "b", "c"], "c is added: b is tried some times");
        assert_eq!(ordered(current, &often, NOW), ["a", "c"]);
        let all: Option<(&[&str], u32)> = Some((&["a.example", "b.example", "c.example"], 60));
        assert_eq!(ordered(all, &often, NOW), ["a", "b", "c"]);
        assert_eq!(ordered_with(all, &often, NOW, |current| current.is_rekeyed = true), ["a", "c"]);
        assert_eq!(ordered_with(all, &often, NOW, |current| current.has_key = false), ["a", "c"]);
        // Nothing is to be added that may be tried now.
        let both = failed(&["b.example", "c.example"], 3, NOW);
        assert_eq!(ordered(current, &both, NOW), ["a", "b"]);
    }

    #[test]
    fn no_name_is_left_out_if_all_failed() {
        let all = failed(&["a.example", "b.example", "c.example"], 3, NOW);
        assert_eq!(ordered(None, &all, NOW), ["a", "b", "c"]);
    }
}
