//! What is presented, from all sources.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::MissedTickBehavior;
use verge_daemon::Clock;
use verge_daemon::tls::{Certificate, Certificates};
use verge_protocol::Timestamp;

/// How often is looked whether a certificate has expired.
const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// The certificates of the operator's files, then those of the fleet, of these the one that ends last: where several have a name, the first
/// one that is valid is presented for it. Clones share them.
#[derive(Clone)]
pub(crate) struct PresentedCertificates {
    served: Arc<Certificates>,
    sources: Arc<Mutex<Sources>>,
    clock: Clock,
}

#[derive(Default)]
struct Sources {
    own: Vec<Arc<Certificate>>,
    fleet: Vec<Arc<Certificate>>,
    /// The time at which those that are presented were chosen.
    chosen: Timestamp,
}

impl PresentedCertificates {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { served: Arc::default(), sources: Arc::default(), clock }
    }

    /// What handshakes choose from.
    pub(crate) fn certificates(&self) -> &Arc<Certificates> {
        &self.served
    }

    /// Has `provide` be called for each server name without a certificate. A certificate that it returns replaces the operator's.
    pub(crate) fn set_provider(
        &self,
        provide: impl Fn(&str) -> BoxFuture<'static, Option<Arc<Certificate>>> + Send + Sync + 'static,
    ) {
        // It must not keep alive what it is kept by.
        let (served, sources, clock) = (Arc::downgrade(&self.served), Arc::clone(&self.sources), self.clock.clone());
        self.served.set_provider(move |name| {
            let (provided, served) = (provide(name), served.clone());
            let (sources, clock) = (Arc::clone(&sources), clock.clone());
            Box::pin(async move {
                if let (Some(certificate), Some(served)) = (provided.await, served.upgrade()) {
                    Self { served, sources, clock }.set_own(vec![certificate]);
                }
            })
        });
    }

    /// Replaces the operator's certificates.
    pub(crate) fn set_own(&self, own: Vec<Arc<Certificate>>) {
        self.update(|sources| {
            sources.own = own;
            true
        });
    }

    /// Replaces the fleet's certificates.
    pub(crate) fn set_fleet(&self, mut fleet: Vec<Arc<Certificate>>) {
        fleet.sort_by_key(|certificate| std::cmp::Reverse(certificate.not_after()));
        self.update(|sources| {
            sources.fleet = fleet;
            true
        });
    }

    /// Chooses anew when a certificate has begun or ceased to be valid. Runs for ever.
    pub(crate) async fn keep_valid(self) {
        let mut ticks = tokio::time::interval(REFRESH_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.refresh();
        }
    }

    fn refresh(&self) {
        let now = self.clock.now();
        self.update(|sources| {
            let changed = |certificate: &Arc<Certificate>| {
                certificate.is_valid_at(sources.chosen) != certificate.is_valid_at(now)
            };
            sources.own.iter().chain(&sources.fleet).any(changed)
        });
    }

    /// `change` returns whether to choose anew. Under the lock, so that of two updates the later one is served.
    fn update(&self, change: impl FnOnce(&mut Sources) -> bool) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        if !change(&mut sources) {
            return;
        }
        let now = self.clock.now();
        sources.chosen = now;
        let ranks = [(&sources.own, true), (&sources.fleet, true), (&sources.own, false), (&sources.fleet, false)];
        self.served.replace_ranked(ranks.map(|(source, valid)| {
            source.iter().filter(move |certificate| certificate.is_valid_at(now) == valid).cloned()
        }));
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    const NAME: &str = "a.example";
    /// The beginning of 2029.
    const START: Timestamp = Timestamp(1_861_920_000_000);
    const YEAR: Duration = Duration::from_hours(24 * 365);

    fn until_year(year: i32) -> Arc<Certificate> {
        for_name(NAME, year)
    }

    fn for_name(name: &str, year: i32) -> Arc<Certificate> {
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        let key = KeyPair::generate().unwrap();
        let chain = params.self_signed(&key).unwrap().pem();
        Arc::new(Certificate::from_pkcs8(chain.as_bytes(), key.serialize_der()).unwrap())
    }

    #[test]
    fn certificate_that_is_valid_is_presented_in_place_of_one_that_is_not() {
        let clock = Clock::manual(START);
        let presented = PresentedCertificates::new(clock.clone());
        let (own, earlier, later) = (until_year(2030), until_year(2040), until_year(2050));
        let is_shown = |certificate| Arc::ptr_eq(&presented.certificates().find(NAME).unwrap(), certificate);
        presented.set_fleet(vec![earlier, Arc::clone(&later)]);
        assert!(is_shown(&later), "of the fleet's the one that ends last");
        presented.set_own(vec![Arc::clone(&own)]);
        assert!(is_shown(&own), "the operator's first");
        clock.advance(YEAR * 3);
        presented.refresh();
        assert!(is_shown(&later), "the operator's has expired");
        clock.advance(YEAR * 30);
        presented.refresh();
        assert!(is_shown(&own), "none is valid");
    }

    #[tokio::test]
    async fn certificate_that_is_provided_is_presented_to_the_client_that_waits() {
        let presented = PresentedCertificates::new(Clock::manual(START));
        let (other, provided) = (for_name("b.example", 2050), until_year(2050));
        presented.set_own(vec![other]);
        let provide = {
            let provided = Arc::clone(&provided);
            move |name: &str| -> BoxFuture<'static, Option<Arc<Certificate>>> {
                Box::pin(std::future::ready((name == NAME).then(|| Arc::clone(&provided))))
            }
        };
        presented.set_provider(provide);
        let select = async |name| presented.certificates().select_or_provide(Some(name)).await;
        assert!(select("unknown.example").await.is_none());
        assert!(Arc::ptr_eq(&select(NAME).await.unwrap(), &provided));
    }

    #[test]
    fn valid_wildcard_is_presented_in_place_of_an_expired_certificate_of_the_very_host() {
        let clock = Clock::manual(START);
        let presented = PresentedCertificates::new(clock.clone());
        let (own, wildcard) = (until_year(2030), for_name("*.example", 2050));
        let is_shown = |certificate| Arc::ptr_eq(&presented.certificates().find(NAME).unwrap(), certificate);
        presented.set_fleet(vec![Arc::clone(&wildcard)]);
        presented.set_own(vec![Arc::clone(&own)]);
        assert!(is_shown(&own));
        clock.advance(YEAR * 3);
        presented.refresh();
        assert!(is_shown(&wildcard));
    }
}
