//! Which of the names that a certificate should have are ordered now: those whose control an authority could not verify are left out for a
//! time, so that the others get their certificate. No name loses a valid certificate by that. Pure.

use std::collections::BTreeSet;

use verge_protocol::{CertificateName, Timestamp};

use super::plan::{Current, Failures, Wanted};
use crate::store::{FailedName, FailedNames};

/// After how many failures no other name and no other key waits for a name.
const FAILURES_MAX: u32 = 3;

/// The certificates to have in place of one with the `current` names. While one of these goes on failing, each name that is to be added has a
/// certificate of its own: one for all would have to be without the name that fails, which is served by the present one. The first is the
/// certificate itself. It keeps the name that identifies it, which then has to wait.
pub(super) fn separated(
    wanted: Wanted,
    current: Option<&BTreeSet<CertificateName>>,
    failed: &FailedNames,
) -> Vec<Wanted> {
    let Some(current) =
        current.filter(|current| wanted.names.intersection(current).any(|name| is_given_up(name, failed)))
    else {
        return vec![wanted];
    };
    let is_separate = |name: &&CertificateName| !current.contains(name) && *name.domain() != wanted.domain;
    let of_its_own = |name: &CertificateName| Wanted { domain: name.domain().clone(), names: [name.clone()].into() };
    let separate: Vec<Wanted> = wanted.names.iter().filter(is_separate).map(of_its_own).collect();
    let names = wanted.names.iter().filter(|name| !is_separate(name)).cloned().collect();
    [Wanted { domain: wanted.domain.clone(), names }].into_iter().chain(separate).collect()
}

/// The certificate to order at `now`. A name that failed is left out until it may be tried again. One that the current certificate has stays
/// in until that has less than a sixth of its lifetime left, or, if the key is to be replaced, after a few failures. If every name failed, none
/// is left out.
pub(super) fn orderable(wanted: &Wanted, current: Option<&Current>, failed: &FailedNames, now: Timestamp) -> Wanted {
    let is_due_again = |name: &CertificateName| match failed.get(name) {
        Some(failed) => now >= failures(failed).next(name.domain(), now),
        None => true,
    };
    let lasts = current.filter(|current| {
        let lifetime = current.not_before.age(current.not_after);
        now.after(lifetime / 6) < current.not_after
    });
    let is_kept = |name: &CertificateName| {
        lasts.is_some_and(|current| current.names.contains(name) && !(current.is_rekeyed && is_given_up(name, failed)))
    };
    let names = wanted.names.iter().filter(|name| is_due_again(name) || is_kept(name)).cloned().collect();
    let ordered = Wanted { domain: wanted.domain.clone(), names };
    if ordered.names.is_empty() { wanted.clone() } else { ordered }
}

/// Whether the control of a name could not be verified for several times.
pub(super) fn is_given_up(name: &CertificateName, failed: &FailedNames) -> bool {
    failed.get(name).is_some_and(|failed| failed.failures >= FAILURES_MAX)
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
    Failures {
        count: failed.failures,
        first: failed.first_failure,
        last: failed.last_failure,
        not_before,
        ..Failures::default()
    }
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
    fn name_that_goes_on_failing_stays_in_its_certificate_unless_the_key_is_to_be_replaced() {
        let (twice, often) = (failed(&["b.example"], 2, NOW), failed(&["b.example"], 3, NOW));
        let current: Option<(&[&str], u32)> = Some((&["a.example", "b.example"], 60));
        assert_eq!(ordered(current, &twice, NOW), ["a", "b", "c"]);
        assert_eq!(ordered(current, &often, NOW), ["a", "b", "c"], "it would lose HTTPS");
        let all: Option<(&[&str], u32)> = Some((&["a.example", "b.example", "c.example"], 60));
        assert_eq!(ordered(all, &often, NOW), ["a", "b", "c"]);
        assert_eq!(ordered_with(all, &often, NOW, |current| current.has_key = false), ["a", "b", "c"]);
        assert_eq!(ordered_with(all, &twice, NOW, |current| current.is_rekeyed = true), ["a", "b", "c"]);
        assert_eq!(ordered_with(all, &often, NOW, |current| current.is_rekeyed = true), ["a", "c"]);
    }

    /// The names of each certificate to have in place of one for `a`, `b` and `c`.
    fn separated_names(domain: &str, current: Option<&[&str]>, failed: &FailedNames) -> Vec<(String, Vec<String>)> {
        let wanted = Wanted { domain: domain.parse().unwrap(), names: names(&["a.example", "b.example", "c.example"]) };
        let text = |name: &dyn std::fmt::Display| name.to_string().replace(".example", "");
        separated(wanted, current.map(names).as_ref(), failed)
            .into_iter()
            .map(|wanted| (text(&wanted.domain), wanted.names.iter().map(|name| text(name)).collect()))
            .collect()
    }

    #[test]
    fn name_that_is_added_has_a_certificate_of_its_own_while_one_of_the_current_names_goes_on_failing() {
        let certificates = |texts: &[(&str, &[&str])]| -> Vec<(String, Vec<String>)> {
            let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
            texts.iter().map(|(domain, names)| (domain.to_string(), owned(names))).collect()
        };
        let one = certificates(&[("a", &["a", "b", "c"])]);
        let current: &[&str] = &["a.example", "b.example"];
        let (twice, often) = (failed(&["b.example"], 2, NOW), failed(&["b.example"], 3, NOW));
        assert_eq!(separated_names("a.example", Some(current), &FailedNames::new()), one);
        assert_eq!(separated_names("a.example", Some(current), &twice), one, "it is tried some times");
        let apart = certificates(&[("a", &["a", "b"]), ("c", &["c"])]);
        assert_eq!(separated_names("a.example", Some(current), &often), apart);
        assert_eq!(separated_names("a.example", Some(&["b.example"]), &often), apart, "`a` identifies it");
        // Only what the certificate has is served by it.
        assert_eq!(separated_names("a.example", Some(&["a.example"]), &often), one);
        assert_eq!(separated_names("a.example", None, &often), one);
    }

    #[test]
    fn no_name_is_left_out_if_all_failed() {
        let all = failed(&["a.example", "b.example", "c.example"], 3, NOW);
        assert_eq!(ordered(None, &all, NOW), ["a", "b", "c"]);
    }
}
