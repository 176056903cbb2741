//! A year of certificates by manual clocks: an origin and its edges, two authorities, and what happens to them. No certificate that is served
//! ever expires, none is replaced by an older one, and no order is wasted.

mod events;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use verge_protocol::Timestamp;
use verge_protocol::api::Certificate;
use verge_test_kit::{IssuedCertificate, until};
use verge_tests::certificate_fleet::{CertificateFleet, START};
use verge_tests::report_measurement;

use self::events::Event;

const HOUR: Duration = Duration::from_hours(1);
const DAY: Duration = Duration::from_hours(24);
const EDGES: usize = 3;
/// The hosts of two sites share a certificate, and a domain one with that which it redirects to.
const HOSTS: [&str; 5] =
    ["one.sites.example.org", "two.sites.example.org", "www.example.com", "example.com", "example.net"];
const CERTIFICATES: usize = 3;
/// The most orders for a set of names beside renewals: three for new keys, one by the restored origin, one for a certificate that was called
/// back, and two because the year begins and ends within a lifetime.
const OTHER_ORDERS: usize = 7;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_six_days_last_a_year() {
    Box::pin(Year::run(DAY * 6, HOUR * 12)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_forty_five_days_last_a_year() {
    Box::pin(Year::run(DAY * 45, DAY)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_of_ninety_days_last_a_year() {
    Box::pin(Year::run(DAY * 90, DAY)).await;
}

/// The cluster in the course of the year, and what readers have seen.
struct Year {
    fleet: CertificateFleet,
    lifetime: Duration,
    /// The last time at which the first authority was away.
    last_away: Option<Timestamp>,
    is_away: bool,
    backup: Option<PathBuf>,
    /// The start of the certificate that was served last, by edge and host.
    served: BTreeMap<(usize, &'static str), Timestamp>,
    handshakes: usize,
    least: Duration,
}

impl Year {
    async fn run(lifetime: Duration, step: Duration) {
        let fleet = CertificateFleet::start(lifetime, EDGES).await;
        fleet.authorities[0].set_renewal_rule(move |issued, now| events::renewal_window(issued, now, lifetime));
        for site in ["one", "two"] {
            fleet.push(site).await;
        }
        fleet.add_domain("one", "www.example.com", None).await;
        fleet.add_domain("one", "example.com", Some("www.example.com")).await;
        fleet.add_domain("two", "example.net", None).await;
        let mut year = Self {
            fleet,
            lifetime,
            last_away: None,
            is_away: false,
            backup: None,
            served: BTreeMap::new(),
            handshakes: 0,
            least: Duration::MAX,
        };
        year.settle().await;
        let mut events: Vec<(u32, Event)> = events::of_the_year();
        let steps = u32::try_from((DAY * 365).as_secs() / step.as_secs()).unwrap();
        for number in 0..steps {
            let day = number * u32::try_from(step.as_secs()).unwrap() / 86_400;
            for (_, event) in events.extract_if(.., |(at, _)| *at <= day) {
                Box::pin(event.happen(&mut year)).await;
            }
            year.fleet.advance(step);
            if year.is_away {
                year.last_away = Some(year.now());
            }
            if year.fleet.is_origin_running() {
                year.settle().await;
            }
            for edge in year.fleet.running_edges() {
                year.visit(edge).await;
            }
        }
        assert!(events.is_empty());
        Box::pin(year.finish()).await;
    }

    fn now(&self) -> Timestamp {
        self.fleet.time.now()
    }

    /// Waits until nothing is to be done at this time.
    async fn settle(&self) {
        let last = std::cell::RefCell::new(Vec::new());
        let waiting = std::fmt::from_fn(|formatter| {
            write!(formatter, "{}, {}: {:#?}", self.describe(), self.now(), last.borrow())
        });
        until(waiting, async || {
            let listed = self.fleet.certificates().await;
            let is_settled = listed.len() == CERTIFICATES && listed.iter().all(|listed| self.is_settled(listed));
            last.replace(listed);
            is_settled
        })
        .await;
    }

    /// Whether the certificate is not due, or cannot be had yet, and is presented on all edges that run.
    fn is_settled(&self, listed: &Certificate) -> bool {
        let (Some(not_after), Some(due)) = (listed.not_after, listed.renewal) else { return false };
        // The second authority is asked once a sixth of the remaining time is gone. The first one may have to wait for its turn when it returns.
        let from = if self.last_away.is_some_and(|last| last.age(self.now()) <= DAY) {
            due.after(due.age(not_after) / 6)
        } else {
            due
        };
        let running = self.fleet.running_edges().len() as u64;
        self.now() < from && listed.edges.presenting == running && listed.edges.of == running
    }

    /// Shakes hands with an edge for each host. The certificate must be valid, last a while, and not be older than the one before.
    async fn visit(&mut self, edge: usize) {
        let handshakes = HOSTS.map(async |host| (host, self.fleet.handshake(edge, host).await));
        for (host, issued) in join_all(handshakes).await {
            let issued = issued.unwrap_or_else(|error| panic!("{host} at edge {edge}, {}: {error}", self.describe()));
            self.see(edge, host, &issued);
        }
    }

    fn see(&mut self, edge: usize, host: &'static str, issued: &IssuedCertificate) {
        self.handshakes += 1;
        let left = self.now().age(issued.not_after);
        assert!(left > self.lifetime / 16, "{host} at edge {edge}, {}: {left:?} left", self.describe());
        self.least = self.least.min(left);
        let before = self.served.insert((edge, host), issued.not_before);
        assert!(
            before.is_none_or(|before| before <= issued.not_before),
            "{host} at edge {edge}, {}: a certificate of {} was replaced by one of {}",
            self.describe(),
            before.unwrap_or_default(),
            issued.not_before,
        );
    }

    fn describe(&self) -> String {
        format!("day {}", START.age(self.now()).as_secs() / 86_400)
    }

    /// Checks how much was ordered, and prints it.
    async fn finish(self) {
        let mut certificates: BTreeMap<_, usize> = BTreeMap::new();
        let (mut orders, mut failed) = (0, 0);
        for authority in &self.fleet.authorities {
            let counts = authority.counts();
            orders += counts.orders;
            failed += counts.failed;
            for (names, count) in counts.certificates {
                *certificates.entry(names).or_default() += count;
            }
        }
        let Self { lifetime, handshakes, least, .. } = self;
        let days = lifetime.as_secs() / 86_400;
        let per_set: Vec<usize> = certificates.values().copied().collect();
        report_measurement(format!(
            "a year of certificates of {days} days: {orders} orders ({per_set:?} by set of names), {failed} failed, \
             {handshakes} handshakes, at least {} h left",
            least.as_secs() / 3600,
        ));
        // A third of the lifetime before its end, or in a window that begins later than 58 % of it.
        let renewals = usize::try_from(365 * 100 / (days * 58)).unwrap();
        for (names, count) in certificates {
            assert!(count <= renewals + OTHER_ORDERS, "{count} certificates for {names:?}");
        }
        assert_eq!(failed, 0, "orders that ended without a certificate");
        self.fleet.stop().await;
    }
}
