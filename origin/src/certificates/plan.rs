//! Which certificates the fleet should have, when each is ordered, and from which authority. Pure: time and history go in, decisions
//! come out.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use verge_protocol::{CertificateName, Digest, DomainName, Timestamp};

use crate::store::DomainRow;

/// The most names of one certificate: authorities refuse more than 100.
const NAMES_MAX: usize = 100;

/// The wait after the first failed order; each further one waits three times as long.
const FIRST_WAIT: Duration = Duration::from_mins(5);
/// The longest wait after a failed order.
const LONGEST_WAIT: Duration = Duration::from_hours(12);
/// The longest wait that an authority may ask for: a wrong answer must not end renewals.
pub(super) const RETRY_AFTER_MAX: Duration = Duration::from_hours(7 * 24);
/// How far in the future a failure may lie.
pub(super) const CLOCK_TOLERANCE: Duration = Duration::from_hours(1);
/// How long the first authority may fail before the second one is tried, while nothing valid is served.
const FALLBACK_WITHOUT_CERTIFICATE: Duration = Duration::from_mins(10);

/// How old a certificate is at least when its authority has it renewed.
const LEAST_AGE: Duration = Duration::from_hours(24);

/// A certificate that the fleet should have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// What identifies it; one of its names, without `*.`.
    pub(crate) domain: DomainName,
    pub(crate) names: BTreeSet<CertificateName>,
}

/// What is known of the certificate that the fleet has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Current {
    pub(crate) names: BTreeSet<CertificateName>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    /// Whether its private key can be read: without it, edges that start anew cannot serve it.
    pub(crate) has_key: bool,
    /// Whether its private key is to be replaced.
    pub(crate) is_rekeyed: bool,
    /// When its authority wishes that it is renewed (RFC 9773).
    pub(crate) renewal_window: Option<Window>,
}

/// A period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub(crate) start: Timestamp,
    pub(crate) end: Timestamp,
}

/// The failed orders of a certificate at one authority since the last success at any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Failures {
    pub(crate) count: u32,
    pub(crate) first: Timestamp,
    pub(crate) last: Timestamp,
    /// The authority has asked for no further order before (`Retry-After`).
    pub(crate) not_before: Timestamp,
    /// The authority accepts no order of any certificate.
    pub(crate) pause: Option<Pause>,
}

/// An authority accepts no order: it has refused one because of a rate limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pause {
    /// When the first of the pauses began that have followed one another.
    pub(crate) since: Timestamp,
    /// It gets no order before.
    pub(crate) until: Timestamp,
    /// It has asked to wait so long.
    pub(crate) asked_until: Timestamp,
}

impl Failures {
    /// Counts one more.
    pub(crate) fn add(self, now: Timestamp, not_before: Option<Timestamp>) -> Self {
        Self {
            count: self.count.saturating_add(1),
            first: if self.count == 0 { now } else { self.first },
            last: now,
            not_before: not_before.unwrap_or_default().max(self.not_before),
            pause: self.pause,
        }
    }

    /// Until when the authority has asked to wait. What it cannot have asked for, since the clock was ahead then, does not count.
    pub(super) fn limited_until(&self, now: Timestamp) -> Timestamp {
        Some(self.not_before).filter(|time| *time <= now.after(RETRY_AFTER_MAX)).unwrap_or_default()
    }

    /// Whether the last order was refused because of a limit.
    pub(super) fn was_limited(&self) -> bool {
        self.not_before > self.last
    }

    /// When the next order may be sent. What was recorded under a clock that was ahead by hours does not count.
    pub(super) fn next(&self, domain: &DomainName, now: Timestamp) -> Timestamp {
        let paused_until = self.pause.map_or(Timestamp(0), |pause| pause.until);
        let not_before = self.limited_until(now).max(paused_until);
        // The first wait is the one that the authority has asked for, if it has.
        let waited_for = if self.was_limited() { 2 } else { 1 };
        let exponent = self.count.checked_sub(waited_for).filter(|_| self.last <= now.after(CLOCK_TOLERANCE));
        let Some(exponent) = exponent else { return not_before };
        let wait = FIRST_WAIT.saturating_mul(3_u32.saturating_pow(exponent)).min(LONGEST_WAIT);
        // Orders that failed together, because the authority was away, do not return together.
        self.last.after(wait + fraction(wait / 10, domain)).max(not_before)
    }
}

/// The certificates that the fleet should have: one for the base domain and all names one label below it, if `has_wildcard`, and one for
/// each proven domain with those that redirect to it. In the order of their domains; no name is in two of them.
pub(crate) fn wanted(base: Option<&DomainName>, domains: &BTreeMap<DomainName, DomainRow>) -> Vec<Wanted> {
    let mut wanted: BTreeMap<DomainName, BTreeSet<CertificateName>> = BTreeMap::new();
    if let Some(base) = base {
        let names = [CertificateName::Host(base.clone()), CertificateName::Wildcard(base.clone())];
        wanted.insert(base.clone(), names.into());
    }
    let is_proven = |name: &DomainName| domains.get(name).is_some_and(|row| row.proven.is_some());
    for row in domains.values().filter(|row| row.proven.is_some()) {
        let target = row.redirect_to.as_ref().filter(|target| is_proven(target)).unwrap_or(&row.name);
        let names = wanted.entry(target.clone()).or_insert_with(|| [CertificateName::Host(target.clone())].into());
        let name = CertificateName::Host(row.name.clone());
        if names.len() < NAMES_MAX || names.contains(&name) {
            names.insert(name);
        } else {
            wanted.insert(row.name.clone(), [name].into());
        }
    }
    wanted.into_iter().map(|(domain, names)| Wanted { domain, names }).collect()
}

/// When the certificate is to be ordered, whatever has failed before. Past if it should have been ordered already.
pub(crate) fn due(wanted: &Wanted, current: Option<&Current>) -> Timestamp {
    let is_right = |current: &&Current| current.names == wanted.names && current.has_key && !current.is_rekeyed;
    let Some(current) = current.filter(is_right) else {
        return Timestamp(0);
    };
    let lifetime = current.not_before.age(current.not_after);
    let before_end = |time: Duration| Timestamp(current.not_after.0.saturating_sub(millis(time)));
    match current.renewal_window {
        // A window that an authority has put too late, or wrong, does not let the certificate expire. One that is always past does not have it
        // ordered without end.
        Some(Window { start, end }) => start
            .after(fraction(start.age(end), &wanted.domain))
            .max(current.not_before.after(LEAST_AGE.min(lifetime / 6)))
            .min(before_end(lifetime / 6)),
        None => before_end(lifetime / 3 + fraction(lifetime / 30, &wanted.domain)),
    }
}

/// When the certificate is ordered next, and from which authority, as it looks at `now`. `failures` has an element for each authority, the
/// preferred one first. If the first one has failed, the second is tried before a third of the lifetime that remains when the certificate is due
/// is gone. While nothing valid is served, it is tried after minutes, or at once if the first one asks to wait longer.
pub(crate) fn next_order(
    wanted: &Wanted,
    current: Option<&Current>,
    failures: &[Failures],
    now: Timestamp,
) -> (Timestamp, usize) {
    let due = due(wanted, current);
    if now < due {
        return (due, 0);
    }
    let valid_until = current.filter(|current| current.names == wanted.names).map(|current| current.not_after);
    let next = |index: usize| failures[index].next(&wanted.domain, now);
    let first = (next(0), 0);
    if failures.len() < 2 {
        return first;
    }
    let preferred = &failures[0];
    let paused = preferred.pause.map(|pause| (pause.since, pause.asked_until));
    let failed = (preferred.count > 0).then_some(preferred.first);
    // Failures are forgotten when their cause is mended; what the authority asked for stays.
    let limited_until = preferred.limited_until(now).max(paused.map_or(Timestamp(0), |(_, until)| until));
    let failing_since = failed.into_iter().chain(paused.map(|(since, _)| since)).min();
    if failing_since.is_none() && limited_until <= now {
        return first;
    }
    let failing_since = failing_since.unwrap_or_default();
    let patient_until = failing_since.after(FALLBACK_WITHOUT_CERTIFICATE);
    // There is no use in waiting for one that has asked to wait longer. The clock may have been ahead.
    let is_patient = limited_until <= patient_until && failing_since <= now;
    let patient_until = if is_patient { patient_until } else { Timestamp(0) };
    let from = match valid_until {
        Some(end) if end > now => {
            let sixth = due.after(due.age(end) / 6);
            // One that should have been renewed long ago, as after the origin was away, waits no longer once an order has failed.
            if preferred.count > 0 && due > Timestamp(0) { sixth } else { sixth.max(patient_until) }
        }
        _ => patient_until,
    };
    let other = (1..failures.len()).map(|index| (next(index).max(from), index)).min();
    // Another one is preferred once it may be asked: the first one has failed.
    other.filter(|other| other.0 <= now || *other < first).unwrap_or(first)
}

/// A part of `whole` that depends on the domain alone, so that the certificates of a fleet are not all due at once.
fn fraction(whole: Duration, domain: &DomainName) -> Duration {
    let digest = Digest::of(domain.as_str().as_bytes());
    let part = u32::from_be_bytes([digest.as_bytes()[0], digest.as_bytes()[1], digest.as_bytes()[2], 0]) >> 8;
    let millis = (u128::from(part) * whole.as_millis()) >> 24;
    Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is to be done for a certificate.
    #[derive(Debug, PartialEq, Eq)]
    enum Decision {
        /// Nothing before this time.
        Wait(Timestamp),
        /// Order it now, from the authority with this index.
        Order(usize),
    }

    fn decide(wanted: &Wanted, current: Option<&Current>, failures: &[Failures], now: Timestamp) -> Decision {
        let (at, authority) = next_order(wanted, current, failures, now);
        if at <= now { Decision::Order(authority) } else { Decision::Wait(at) }
    }

    const HOUR: Duration = Duration::from_hours(1);
    const DAY: Duration = Duration::from_hours(24);

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    fn row(domain: &str, redirect_to: Option<&str>, is_proven: bool) -> (DomainName, DomainRow) {
        let row = DomainRow {
            name: name(domain),
            site: "demo".parse().unwrap(),
            redirect_to: redirect_to.map(name),
            proof: String::new(),
            claimed: Timestamp(0),
            proven: is_proven.then_some(Timestamp(0)),
            problem: None,
        };
        (row.name.clone(), row)
    }

    fn texts(wanted: &[Wanted]) -> Vec<String> {
        let names = |wanted: &Wanted| wanted.names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        wanted.iter().map(|wanted| format!("{}: {}", wanted.domain, names(wanted))).collect()
    }

    fn certificate(lifetime: Duration) -> (Wanted, Current) {
        let wanted =
            Wanted { domain: name("www.example.com"), names: [CertificateName::Host(name("www.example.com"))].into() };
        let start = Timestamp(1_000_000_000_000);
        let current = Current {
            names: wanted.names.clone(),
            not_before: start,
            not_after: start.after(lifetime),
            has_key: true,
            is_rekeyed: false,
            renewal_window: None,
        };
        (wanted, current)
    }

    #[test]
    fn proven_domain_is_wanted_with_those_that_redirect_to_it() {
        let domains: BTreeMap<_, _> = [
            row("example.com", None, true),
            row("www.example.com", Some("example.com"), true),
            row("old.example.net", Some("example.com"), true),
            row("pending.example.com", Some("example.com"), false),
            row("shop.example", None, false),
            row("www.shop.example", Some("shop.example"), true),
        ]
        .into();
        let all = wanted(Some(&name("sites.example.org")), &domains);
        assert_eq!(
            texts(&all),
            [
                "example.com: example.com old.example.net www.example.com",
                "sites.example.org: sites.example.org *.sites.example.org",
                "www.shop.example: www.shop.example",
            ]
        );
        assert_eq!(wanted(None, &domains).len(), 2);
    }

    #[test]
    fn certificate_has_at_most_a_hundred_names_and_each_name_is_in_one() {
        let mut domains: BTreeMap<_, _> = [row("zzz.example.com", None, true)].into();
        domains.extend((0..150).map(|number| row(&format!("r{number}.example"), Some("zzz.example.com"), true)));
        let all = wanted(None, &domains);
        let names: Vec<_> = all.iter().flat_map(|wanted| &wanted.names).collect();
        let distinct: BTreeSet<_> = names.iter().collect();
        assert_eq!((names.len(), distinct.len()), (151, 151));
        assert!(all.iter().all(|wanted| wanted.names.len() <= 100));
    }

    #[test]
    fn certificate_is_due_with_a_third_of_its_lifetime_left() {
        for days in [6, 45, 90] {
            let (wanted, current) = certificate(DAY * days);
            let left = due(&wanted, Some(&current)).age(current.not_after);
            assert!(left >= DAY * days / 3 && left <= DAY * days / 3 + DAY * days / 30, "{days}: {left:?}");
        }
        let (wanted, current) = certificate(DAY * 90);
        let other = Current { names: BTreeSet::new(), ..current.clone() };
        let keyless = Current { has_key: false, ..current.clone() };
        let rekeyed = Current { is_rekeyed: true, ..current };
        for current in [None, Some(&other), Some(&keyless), Some(&rekeyed)] {
            assert_eq!(due(&wanted, current), Timestamp(0));
        }
    }

    #[test]
    fn certificate_is_due_within_the_window_of_its_authority_but_never_at_its_end() {
        let (wanted, current) = certificate(DAY * 90);
        let window = |from: u32, to: u32| Window {
            start: current.not_before.after(DAY * from),
            end: current.not_before.after(DAY * to),
        };
        let due_in = |window| due(&wanted, Some(&Current { renewal_window: Some(window), ..current.clone() }));
        let due = due_in(window(58, 62));
        assert!(due >= window(58, 62).start && due < window(58, 62).end);
        assert_eq!(due_in(window(88, 200)), current.not_before.after(DAY * 75));
        assert!(due_in(window(1, 2)) < current.not_before.after(DAY * 2), "an authority may call a certificate back");
        let past = Window { start: Timestamp(0), end: Timestamp(1) };
        assert_eq!(due_in(past), current.not_before.after(DAY), "but not without end");
    }

    #[test]
    fn failed_orders_wait_longer_each_time_and_as_long_as_the_authority_asks() {
        let (wanted, _) = certificate(DAY);
        let now = Timestamp(1_000_000_000_000);
        let mut failures = Failures::default();
        let mut waits = Vec::new();
        for _ in 0..8 {
            failures = failures.add(now, None);
            let Decision::Wait(until) = decide(&wanted, None, &[failures], now) else { panic!("ordered at once") };
            waits.push(now.age(until).as_secs() / 60);
        }
        assert!(waits.is_sorted() && waits[0] >= 5 && waits[7] >= 720 && waits[7] <= 792, "{waits:?}");
        // What the authority asks for is waited for first, however short it is.
        let soon = now.after(Duration::from_mins(1));
        let asked = Failures::default().add(now, Some(soon));
        assert_eq!(decide(&wanted, None, &[asked], now), Decision::Wait(soon));
        let again = asked.add(soon, Some(soon.after(Duration::from_mins(1))));
        let Decision::Wait(until) = decide(&wanted, None, &[again], soon) else { panic!("ordered at once") };
        assert!(until >= soon.after(FIRST_WAIT), "it goes on: {until}");
        let limited = Failures::default().add(now, Some(now.after(DAY * 3)));
        assert_eq!(decide(&wanted, None, &[limited], now), Decision::Wait(now.after(DAY * 3)));
        assert_eq!(decide(&wanted, None, &[limited], now.after(DAY * 3)), Decision::Order(0));
    }

    #[test]
    fn failure_recorded_under_a_clock_far_ahead_puts_nothing_off() {
        let (wanted, _) = certificate(DAY);
        let now = Timestamp(1_000_000_000_000);
        let later = now.after(DAY * 400);
        let failures = [Failures::default().add(later, Some(later)); 2];
        assert!(matches!(decide(&wanted, None, &failures, now), Decision::Order(_)));
        assert!(matches!(decide(&wanted, None, &failures[..1], now), Decision::Order(0)));
    }

    #[test]
    fn second_authority_is_tried_before_a_third_of_the_remaining_lifetime_is_gone() {
        let (wanted, current) = certificate(DAY * 90);
        let due = due(&wanted, Some(&current));
        assert_eq!(decide(&wanted, Some(&current), &[Failures::default(); 2], due), Decision::Order(0));
        let failed = [Failures::default().add(due, Some(due.after(DAY * 6))), Failures::default()];
        let Decision::Wait(second) = decide(&wanted, Some(&current), &failed, due) else { panic!("ordered at once") };
        assert!(due.age(second) < due.age(current.not_after) / 3);
        assert_eq!(decide(&wanted, Some(&current), &failed, second), Decision::Order(1));
        // At once if the first one accepts no order although no failure counts.
        let limited = [Failures { not_before: due.after(DAY * 6), ..Failures::default() }, Failures::default()];
        assert_eq!(decide(&wanted, None, &limited, due), Decision::Order(1));
        assert_eq!(decide(&wanted, None, &limited[..1], due), Decision::Wait(due.after(DAY * 6)));
        // Without a certificate that is valid it is tried after minutes.
        let first = Failures::default().add(due, None);
        assert_eq!(decide(&wanted, None, &[first, Failures::default()], due.after(DAY / 24 / 6)), Decision::Order(1));
        assert!(matches!(decide(&wanted, None, &[first, Failures::default()], due), Decision::Wait(_)));
        // A short pause because of another certificate is waited for, a long one is not.
        let minutes = |count: u64| due.after(Duration::from_mins(count));
        let rekeyed = Current { is_rekeyed: true, ..current.clone() };
        let paused = |since: u64, until: u64, asked_until: u64| Failures {
            pause: Some(Pause { since: minutes(since), until: minutes(until), asked_until: minutes(asked_until) }),
            ..Failures::default()
        };
        for (asked_until, expected) in [(5, Decision::Wait(minutes(5))), (60, Decision::Order(1))] {
            let paused = paused(0, asked_until.min(10), asked_until);
            for current in [None, Some(&rekeyed)] {
                assert_eq!(decide(&wanted, current, &[paused, Failures::default()], due), expected);
            }
            assert_eq!(decide(&wanted, None, &[paused], due), Decision::Wait(minutes(asked_until.min(10))));
        }
        // Short ones that follow one another are waited for ten minutes in all, also if the certificate itself is refused at last.
        let third = paused(0, 15, 15);
        let refused = Failures { pause: third.pause, ..Failures::default().add(minutes(11), Some(minutes(15))) };
        for first in [third, refused] {
            assert_eq!(decide(&wanted, None, &[first, Failures::default()], minutes(11)), Decision::Order(1));
        }
        assert_eq!(
            decide(&wanted, None, &[paused(0, 9, 9), Failures::default()], minutes(5)),
            Decision::Wait(minutes(9))
        );
        // A certificate whose key is to be replaced is as patient.
        let refused = Failures::default().add(due, Some(minutes(4)));
        assert_eq!(decide(&wanted, Some(&rekeyed), &[refused, Failures::default()], due), Decision::Wait(minutes(4)));
        // A pause of the second one sends nothing there, and holds up nothing at the first one.
        let (failed, second) = (Failures::default().add(due, None), paused(0, 30, 30));
        assert_eq!(decide(&wanted, None, &[failed, second], minutes(11)), Decision::Order(0));
        let Decision::Wait(next) = decide(&wanted, None, &[failed, second], minutes(1)) else {
            panic!("ordered at once")
        };
        assert!(next < minutes(6));
        // Or at once if the first one asks to wait longer.
        let (soon, late) = (due.after(HOUR / 12), due.after(HOUR));
        for (until, is_at_once) in [(soon, false), (late, true)] {
            let first = Failures::default().add(due, Some(until));
            let decision = decide(&wanted, None, &[first, Failures::default()], due);
            assert_eq!(decision == Decision::Order(1), is_at_once, "{decision:?}");
        }
        // If the other one has failed as well, the one that may be asked earlier is.
        let failed = [Failures::default().add(due, Some(late)), Failures::default().add(due, None)];
        let (next, index) = next_order(&wanted, None, &failed, due);
        assert!(index == 1 && next < late, "{index} at {next}");
    }

    /// An authority of a simulated year.
    struct Authority {
        lifetime: Duration,
        /// Whether it is away on this day.
        is_away: fn(u64) -> bool,
        /// Windows of renewal, by lifetime and day.
        window: fn(Duration, u64) -> Option<(Duration, Duration)>,
    }

    /// Orders, failed orders and the shortest remaining lifetime of ten certificates in a year. The origin's clock is `ahead` of the true
    /// one by days; it is corrected at each contact with an authority, before each order and every six hours.
    fn simulate(authorities: &[Authority], ahead: fn(u64) -> i64) -> (usize, usize, Duration) {
        const STEP: Duration = Duration::from_mins(10);
        let start = Timestamp(1_800_000_000_000);
        let domains: Vec<Wanted> = (0..10)
            .map(|number| format!("site-{number}.example"))
            .map(|text| Wanted { domain: name(&text), names: [CertificateName::Host(name(&text))].into() })
            .collect();
        let mut currents: Vec<Option<(Current, usize)>> = vec![None; domains.len()];
        let mut failures = vec![vec![Failures::default(); authorities.len()]; domains.len()];
        let (mut orders, mut failed, mut least) = (0, 0, Duration::MAX);
        let mut known_ahead = 0_i64;
        for step in 0..365 * 24 * 6 {
            let time = start.after(STEP * step);
            let day = u64::from(step) / (24 * 6);
            let clock = time.0.saturating_add_signed(ahead(day) * 86_400_000);
            let is_reached = authorities.iter().any(|authority| !(authority.is_away)(day));
            if step % 36 == 0 && is_reached {
                known_ahead = ahead(day) * 86_400_000;
            }
            for (index, wanted) in domains.iter().enumerate() {
                let current = currents[index].as_mut().map(|(current, authority)| {
                    let issued = current.not_before.age(time).as_secs() / 86_400;
                    let authority = &authorities[*authority];
                    if !(authority.is_away)(day) {
                        let window = (authority.window)(authority.lifetime, issued);
                        current.renewal_window = window.map(|(from, to)| Window {
                            start: current.not_before.after(from),
                            end: current.not_before.after(to),
                        });
                    }
                    current.clone()
                });
                if let Some(current) = &current {
                    assert!(time < current.not_after, "day {day}: {} has expired", wanted.domain);
                    least = least.min(time.age(current.not_after));
                }
                let decide = |known_ahead: i64| {
                    let now = Timestamp(clock.saturating_add_signed(-known_ahead));
                    (now, decide(wanted, current.as_ref(), &failures[index], now))
                };
                let (now, Decision::Order(authority)) = decide(known_ahead) else { continue };
                if (authorities[authority].is_away)(day) {
                    failed += 1;
                    failures[index][authority] = failures[index][authority].add(now, None);
                    continue;
                }
                // The order begins with a contact, which tells the true time.
                known_ahead = ahead(day) * 86_400_000;
                if !matches!(decide(known_ahead).1, Decision::Order(_)) {
                    continue;
                }
                orders += 1;
                failures[index].fill(Failures::default());
                let current = Current {
                    names: wanted.names.clone(),
                    not_before: time,
                    not_after: time.after(authorities[authority].lifetime),
                    has_key: true,
                    is_rekeyed: false,
                    renewal_window: None,
                };
                currents[index] = Some((current, authority));
            }
        }
        (orders, failed, least)
    }

    #[test]
    fn simulated_year_lets_nothing_expire_and_wastes_no_order() {
        let no_window = |_, _| None;
        // It moves to and fro, and once it is put far too late.
        let moving = |lifetime: Duration, issued: u64| {
            let from = lifetime * 6 / 10 + HOUR * u32::try_from(issued % 5).unwrap();
            let to = if issued % 7 == 3 { lifetime * 2 } else { from + lifetime / 20 };
            Some((from, to))
        };
        let clock = |day: u64| match day {
            100..130 => 1,
            200..215 => 400,
            250..260 => -1,
            _ => 0,
        };
        for days in [6_u32, 45, 90] {
            for (text, window) in [("a third", no_window as fn(_, _) -> _), ("moving windows", moving)] {
                let primary = Authority { lifetime: DAY * days, is_away: |day| (150..180).contains(&day), window };
                let second = Authority { lifetime: DAY * days, is_away: |_| false, window: no_window };
                let (orders, failed, least) = simulate(&[primary, second], clock);
                // One for each 58 % of a lifetime: a third before the end, or the begin of the window.
                let renewals = 365 * 100 / (days as usize * 58) + 2;
                println!("{days} days, {text}: {orders} orders, {failed} failed, {least:?} left at least");
                assert!(orders <= renewals * 10, "{days} days, {text}: {orders} orders");
                assert!(least > DAY * days / 8, "{days} days, {text}: {least:?}");
            }
        }
    }
}
