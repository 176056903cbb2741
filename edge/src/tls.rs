//! The certificates that the edge presents: where they come from, and what is wrong with them.

mod certificate_store;
mod fleet_certificates;
mod key_requests;
mod presented;

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context as _;
use verge_daemon::tls::{CertificateFiles, Certificates, FileProblems, Tickets};
use verge_daemon::{Clock, Tasks};
use verge_protocol::certificate::CertificateState;
use verge_protocol::report::CertificateLag;
use verge_protocol::{CertificateName, Digest, EdgeName, Seq, Timestamp};

use self::certificate_store::{CertificateStore, SavedCertificate};
pub(crate) use self::fleet_certificates::FleetCertificates;
use self::fleet_certificates::Presented;
use self::key_requests::KeyRequestsTask;
pub(crate) use self::presented::PresentedCertificates;
use crate::upstream::Upstream;

/// A certificate that should have been renewed has less than a sixth of its lifetime left, or so many milliseconds: authorities and
/// operators renew at a third, and tools at 30 days.
const RENEWAL_OVERDUE: u64 = 14 * 24 * 60 * 60 * 1000;

/// What is presented, and what is wrong with it. Clones share it.
#[derive(Clone)]
pub(crate) struct TlsStatus {
    presented: Arc<Certificates>,
    file_problems: FileProblems,
    /// `None`: there is no TLS.
    fleet: Option<FleetCertificates>,
    clock: Clock,
}

/// Presents the fleet's certificates: those on disk once this returns, and those of the feed from now on, until `tasks` drain. `has_rows`
/// says whether the rows that are known are all that the feed had: certificates without one are deleted then.
pub(crate) async fn follow(
    fleet: FleetCertificates,
    data: PathBuf,
    has_rows: bool,
    presented: &PresentedCertificates,
    following: Following,
    tasks: &Tasks,
) -> io::Result<()> {
    let loaded = fleet.clone();
    let load = move || {
        let store = CertificateStore::open(&data)?;
        store.load(|saved| add_saved(&loaded, saved))?;
        Ok::<_, io::Error>((store.load_ticket_secret(), store.edge_key(), store))
    };
    let (secret, key, store) = tokio::task::spawn_blocking(load).await.expect("loading does not panic")?;
    if has_rows {
        fleet.remove_unknown();
    }
    presented.set_fleet(fleet.presented());
    if let Err(error) = &key {
        tracing::error!(error, "the key of this edge cannot be used: it gets no private keys of certificates");
        fleet.set_key_problem(error.clone());
    }
    let Following { upstream, tickets, name } = following;
    if let Some(secret) = &secret {
        tickets.set_secret(secret);
    }
    let ticket_secret = secret.map(|secret| Digest::of(&secret));
    let presented = presented.clone();
    let is_known = false;
    let task = KeyRequestsTask { fleet, store, key, upstream, presented, tickets, ticket_secret, is_known, name };
    let draining = tasks.draining().clone();
    drop(tasks.spawn("certificates", draining.run_until_cancelled_owned(task.run())));
    Ok(())
}

/// Presents a certificate that was on disk.
fn add_saved(fleet: &FleetCertificates, saved: SavedCertificate) {
    let chain = saved.chain_digest();
    match key_requests::parse(&saved.chain, &saved.key) {
        Ok(certificate) => {
            fleet.add([(saved.domain, Presented { chain, certificate: Arc::new(certificate), is_saved: true })]);
        }
        Err(error) => tracing::error!(domain = %saved.domain, %error, "a saved certificate cannot be presented"),
    }
}

/// The public key of the edge with this data directory, made if there is none. Blocks.
pub(crate) fn public_key(data: &Path) -> anyhow::Result<String> {
    let store = CertificateStore::open(data).with_context(|| format!("failed to open {}", data.display()))?;
    Ok(store.edge_key().map_err(anyhow::Error::msg)?.public())
}

/// What certificates are followed with.
pub(crate) struct Following {
    pub(crate) upstream: Upstream,
    pub(crate) tickets: Arc<Tickets>,
    pub(crate) name: EdgeName,
}

impl TlsStatus {
    /// Loads the operator's certificate files, and reloads them when they change, until `tasks` drain.
    pub(crate) async fn watch(
        files: Vec<CertificateFiles>,
        fleet: Option<FleetCertificates>,
        presented: &PresentedCertificates,
        clock: Clock,
        tasks: &Tasks,
    ) -> Self {
        let present = {
            let presented = presented.clone();
            move |certificates| presented.set_own(certificates)
        };
        let file_problems = CertificateFiles::watch(files, present, clock.clone(), tasks).await;
        if let Some(fleet) = &fleet {
            fleet.set_file_problems(file_problems.clone());
        }
        let draining = tasks.draining().clone();
        let keep_valid = presented.clone().keep_valid();
        drop(tasks.spawn("validity of certificates", draining.run_until_cancelled_owned(keep_valid)));
        Self { presented: Arc::clone(presented.certificates()), file_problems, fleet, clock }
    }

    /// Why files of the operator's are not presented as they are.
    pub(crate) fn file_problems(&self) -> Vec<String> {
        self.file_problems.list()
    }

    /// Why the key of this edge cannot be used.
    pub(crate) fn key_problem(&self) -> Option<&str> {
        self.fleet.as_ref()?.key_problem()
    }

    /// The certificates of the feed that are not presented as of their latest write.
    pub(crate) fn lagging(&self) -> Vec<CertificateLag> {
        self.fleet.as_ref().map_or_else(Vec::new, FleetCertificates::lagging)
    }

    /// Whether the certificates of the feed were presented at some time when this was called, or could not be got: what is on the disk of an edge
    /// that was away may have expired. Call it once the feed is known.
    pub(crate) fn has_caught_up(&self) -> bool {
        self.fleet.as_ref().is_none_or(FleetCertificates::has_caught_up)
    }

    /// The first write of a certificate that is not served: it is not presented, nor is a valid one in its place. One that has expired
    /// does not count: the edges that present it still have had it since before.
    pub(crate) fn first_unserved(&self) -> Option<Seq> {
        let missing = self.fleet.as_ref()?.missing().into_iter().map(|(_, seq, row)| (seq, row));
        self.first_uncovered(missing)
    }

    /// The same among those of which the origin has the private key.
    pub(crate) fn first_obtainable(&self) -> Option<Seq> {
        self.first_uncovered(self.fleet.as_ref()?.obtainable().into_iter())
    }

    fn first_uncovered(&self, missing: impl Iterator<Item = (Seq, Arc<CertificateState>)>) -> Option<Seq> {
        let now = self.clock.now();
        let is_served = |name: &CertificateName| {
            let certificate = match name {
                CertificateName::Host(host) => self.presented.find(host.as_str()),
                CertificateName::Wildcard(domain) => self.presented.find(&format!("x.{domain}")),
            };
            certificate.is_some_and(|certificate| certificate.is_valid_at(now))
        };
        let missing = missing.filter(|(_, row)| row.not_after > now);
        missing.filter(|(_, row)| !row.names.iter().all(is_served)).map(|(seq, _)| seq).min()
    }

    /// The certificates that are presented but should have been renewed, with the ends of their validity.
    pub(crate) fn expiring(&self) -> Vec<(CertificateName, Timestamp)> {
        let now = self.clock.now();
        let mut expiring = self.presented.presented();
        expiring.retain(|(_, certificate)| {
            let (start, end) = (certificate.not_before(), certificate.not_after());
            let margin = (end.0.saturating_sub(start.0) / 6).min(RENEWAL_OVERDUE);
            now.0 >= end.0.saturating_sub(margin)
        });
        expiring.into_iter().map(|(name, certificate)| (name, certificate.not_after())).collect()
    }

    /// Seconds until each presented certificate expires, negative after that, by the first of its names for which it is presented.
    pub(crate) fn expiry_seconds(&self) -> Vec<(String, f64)> {
        let now = self.clock.now();
        #[expect(clippy::cast_precision_loss, reason = "a gauge is a float; milliseconds stay below 2^53")]
        let seconds = |end: Timestamp| (end.0 as f64 - now.0 as f64) / 1000.0;
        let presented = self.presented.presented();
        presented.iter().map(|(name, certificate)| (name.to_string(), seconds(certificate.not_after()))).collect()
    }
}

#[cfg(test)]
impl TlsStatus {
    pub(crate) fn with_key_problem(problem: &str, clock: Clock) -> Self {
        let fleet = FleetCertificates::default();
        fleet.set_key_problem(problem.to_owned());
        Self { presented: Arc::default(), file_problems: FileProblems::default(), fleet: Some(fleet), clock }
    }

    pub(crate) fn with_file_problems(file_problems: Vec<String>, clock: Clock) -> Self {
        Self { presented: Arc::default(), file_problems: FileProblems::new(file_problems), fleet: None, clock }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::certificate::CertificateState;

    use super::fleet_certificates::Failure;
    use super::*;

    #[test]
    fn problems_of_the_key_and_of_files_are_reported_together() {
        let fleet = FleetCertificates::default();
        assert!(fleet.problems().is_empty());
        fleet.set_file_problems(FileProblems::new(vec!["failed to read chain.pem".to_owned()]));
        assert_eq!(fleet.problems(), ["failed to read chain.pem"]);
        fleet.set_key_problem("malformed edge key".to_owned());
        assert_eq!(fleet.problems(), ["malformed edge key", "failed to read chain.pem"]);
    }

    #[tokio::test]
    async fn expired_certificate_does_not_count_as_unserved_nor_one_without_a_key_as_obtainable() {
        let (fleet, clock) = (FleetCertificates::default(), Clock::manual(Timestamp(1000)));
        let write = |domain: &str, seq: u64, not_after: u64| {
            let row = CertificateState {
                names: [domain.parse().unwrap()].into(),
                chain: String::new(),
                key: Digest::of(domain.as_bytes()),
                not_before: Timestamp(0),
                not_after: Timestamp(not_after),
                confirmed: true,
            };
            fleet.apply(domain.parse().unwrap(), Seq(seq), Some(row));
        };
        write("expired.example", 1, 1000);
        write("keyless.example", 2, 2000);
        write("fetched.example", 3, 2000);
        let tls = TlsStatus {
            presented: Arc::default(),
            file_problems: FileProblems::new(Vec::new()),
            fleet: Some(fleet.clone()),
            clock: clock.clone(),
        };
        let firsts = || (tls.first_unserved(), tls.first_obtainable());
        assert_eq!(firsts(), (Some(Seq(2)), Some(Seq(2))));
        fleet.record_failure("keyless.example".parse().unwrap(), Failure::NoKey);
        assert_eq!(firsts(), (Some(Seq(2)), Some(Seq(3))));
        clock.advance(std::time::Duration::from_secs(1));
        assert_eq!(firsts(), (None, None));
    }
}
