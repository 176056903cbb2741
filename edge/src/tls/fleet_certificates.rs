//! The certificates of the fleet: what the feed says, and what of it is presented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use verge_daemon::tls::{Certificate, FileProblems};
use verge_protocol::certificate::{CertificateState, TicketSecretState};
use verge_protocol::report::CertificateLag;
use verge_protocol::{Digest, DomainName, Seq};

/// A certificate is older than another one only if it begins so much earlier: authorities date certificates back by up to a day.
const DATED_BACK_MAX: Duration = Duration::from_hours(24);

/// The certificates in the feed, and those that are presented. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct FleetCertificates(Arc<Shared>);

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    /// The feed has changed.
    rows_changed: Notify,
    /// What is presented has changed.
    presented_changed: Notify,
    /// Why the key of this edge cannot be used; unset if it can.
    key_problem: OnceLock<String>,
    /// What is wrong with the operator's files.
    file_problems: OnceLock<FileProblems>,
}

#[derive(Default)]
struct State {
    rows: BTreeMap<DomainName, KnownRow>,
    tickets: Option<Digest>,
    presented: BTreeMap<DomainName, Presented>,
    /// The rows whose certificates are not presented, nor newer ones. Kept: the health page, which anybody can request, asks for it.
    missing: BTreeSet<DomainName>,
    /// Those of which the feed has said that they are no more.
    removed: BTreeSet<DomainName>,
    /// Why the last attempt to get a certificate failed.
    failures: BTreeMap<DomainName, Failure>,
    /// See [`FleetCertificates::has_caught_up`].
    has_caught_up: bool,
}

/// The row of a certificate.
struct KnownRow {
    seq: Seq,
    /// Without its chain while nothing is missing of it: the feed's own store has that text, and the certificate that is presented the chain.
    row: Arc<CertificateState>,
    /// The digest of its chain.
    chain: Digest,
}

impl KnownRow {
    fn new(seq: Seq, row: CertificateState) -> Self {
        let chain = Digest::of(row.chain.as_bytes());
        Self { seq, row: Arc::new(row), chain }
    }

    fn drop_chain(&mut self) {
        if !self.row.chain.is_empty() {
            let CertificateState { names, key, not_before, not_after, confirmed, .. } = &*self.row;
            let (names, chain) = (names.clone(), String::new());
            let (key, not_before, not_after, confirmed) = (*key, *not_before, *not_after, *confirmed);
            self.row = Arc::new(CertificateState { names, chain, key, not_before, not_after, confirmed });
        }
    }
}

/// Why a certificate cannot be presented.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The origin does not have its private key: no edge can present it.
    NoKey,
    /// Another reason, which other edges may not have.
    Other(String),
}

impl Failure {
    fn reason(&self) -> &str {
        match self {
            Self::NoKey => "the origin does not have its private key",
            Self::Other(reason) => reason,
        }
    }
}

/// A certificate of the fleet that is presented.
#[derive(Clone)]
pub(super) struct Presented {
    /// The chain as the feed has it.
    pub(super) chain: Digest,
    pub(super) certificate: Arc<Certificate>,
    /// Whether it is on disk.
    pub(super) is_saved: bool,
}

impl Presented {
    /// Whether nothing is missing of a row: this is its certificate, or one that is newer.
    fn satisfies(&self, known: &KnownRow) -> bool {
        let is_of_row = self.certificate.key_digest() == known.row.key && self.chain == known.chain;
        self.is_saved && (is_of_row || self.is_newer_than(&known.row))
    }

    /// Whether the row is older, as those of an origin that was restored from a copy are: the key of such a certificate may have been replaced
    /// because it leaked.
    fn is_newer_than(&self, row: &CertificateState) -> bool {
        let (names, start, end) =
            (self.certificate.names(), self.certificate.not_before(), self.certificate.not_after());
        row.not_before.after(DATED_BACK_MAX) < start
            && row.not_after <= end
            && row.names.iter().all(|name| names.contains(name))
    }
}

impl FleetCertificates {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records why the key of this edge cannot be used. It is read once, at the start.
    pub(super) fn set_key_problem(&self, problem: String) {
        let _ = self.0.key_problem.set(problem);
    }

    /// Why the key of this edge cannot be used, so that it gets no private keys.
    pub(super) fn key_problem(&self) -> Option<&str> {
        self.0.key_problem.get().map(String::as_str)
    }

    /// Has [`Self::problems`] tell what is wrong with the operator's files too.
    pub(super) fn set_file_problems(&self, problems: FileProblems) {
        let _ = self.0.file_problems.set(problems);
    }

    /// What is wrong with this edge's key and the operator's files, for a person to read.
    pub(crate) fn problems(&self) -> Vec<String> {
        let files = self.0.file_problems.get().map(FileProblems::list);
        self.key_problem().map(str::to_owned).into_iter().chain(files.into_iter().flatten()).collect()
    }

    /// Applies the row of a certificate; `None` removes it.
    pub(crate) fn apply(&self, domain: DomainName, seq: Seq, row: Option<CertificateState>) {
        let mut state = self.state();
        state.failures.remove(&domain);
        if let Some(row) = row {
            state.removed.remove(&domain);
            state.rows.insert(domain.clone(), KnownRow::new(seq, row));
        } else {
            state.rows.remove(&domain);
            state.removed.insert(domain.clone());
        }
        state.compare(domain);
        self.0.rows_changed.notify_one();
    }

    /// Applies the row of the secret of session tickets.
    pub(crate) fn apply_ticket_secret(&self, row: Option<TicketSecretState>) {
        self.state().tickets = row.map(|row| row.secret);
        self.0.rows_changed.notify_one();
    }

    /// Removes the certificates whose keys are not in `keys`.
    pub(crate) fn retain_keys(&self, keys: &BTreeSet<&str>) {
        let mut state = self.state();
        state.rows.retain(|domain, _| keys.contains(&*format!("certificate/{domain}")));
        let State { rows, missing, .. } = &mut *state;
        missing.retain(|domain| rows.contains_key(domain));
        state.remove_unknown();
        if !keys.contains("secret/tickets") {
            state.tickets = None;
        }
        self.0.rows_changed.notify_one();
    }

    /// The certificates that are not presented as of their latest row, nor newer ones in their place.
    pub(crate) fn lagging(&self) -> Vec<CertificateLag> {
        let state = self.state();
        let lag = |(domain, seq): (&DomainName, Seq)| {
            let reason = state.failures.get(domain).map_or(CertificateLag::REQUESTING_KEY, Failure::reason);
            CertificateLag { domain: domain.clone(), seq, reason: reason.to_owned() }
        };
        state.missing().map(|(domain, seq, _)| lag((domain, seq))).collect()
    }

    /// Whether all certificates of the feed were presented at some time when this was called, or could not be got. Call it once the feed is known.
    pub(super) fn has_caught_up(&self) -> bool {
        let mut state = self.state();
        let is_settled = |domain| state.failures.contains_key(domain);
        state.has_caught_up = state.has_caught_up || state.missing().all(|(domain, ..)| is_settled(domain));
        state.has_caught_up
    }

    /// Those with their rows.
    pub(super) fn missing(&self) -> Vec<(DomainName, Seq, Arc<CertificateState>)> {
        self.state().missing().map(|(domain, seq, row)| (domain.clone(), seq, Arc::clone(row))).collect()
    }

    /// The rows of those of which the origin has the keys.
    pub(super) fn obtainable(&self) -> Vec<(Seq, Arc<CertificateState>)> {
        let state = self.state();
        let has_key = |domain| state.failures.get(domain) != Some(&Failure::NoKey);
        let obtainable = state.missing().filter(|(domain, ..)| has_key(*domain));
        obtainable.map(|(_, seq, row)| (seq, Arc::clone(row))).collect()
    }

    /// The name of the secret of session tickets.
    pub(super) fn tickets(&self) -> Option<Digest> {
        self.state().tickets
    }

    /// Presents certificates, with those before.
    pub(super) fn add(&self, added: impl IntoIterator<Item = (DomainName, Presented)>) {
        let mut state = self.state();
        for (domain, presented) in added {
            state.failures.remove(&domain);
            state.presented.insert(domain.clone(), presented);
            state.compare(domain);
        }
        self.0.presented_changed.notify_one();
    }

    /// Records why a certificate cannot be presented.
    pub(super) fn record_failure(&self, domain: DomainName, failure: Failure) {
        let mut state = self.state();
        if state.failures.get(&domain) != Some(&failure) {
            tracing::warn!(%domain, reason = failure.reason(), "a certificate cannot be presented yet");
            state.failures.insert(domain, failure);
        }
    }

    /// The rows are all that the feed has: certificates without one are removed.
    pub(super) fn remove_unknown(&self) {
        self.state().remove_unknown();
    }

    /// Ends certificates that the feed has no more, and returns their domains.
    pub(super) fn take_removed(&self) -> BTreeSet<DomainName> {
        let mut state = self.state();
        let removed = std::mem::take(&mut state.removed);
        for domain in &removed {
            state.presented.remove(domain);
            state.compare(domain.clone());
        }
        removed
    }

    /// All that are presented.
    pub(super) fn presented(&self) -> Vec<Arc<Certificate>> {
        self.state().presented.values().map(|presented| Arc::clone(&presented.certificate)).collect()
    }

    /// Waits until the feed has changed since the last call. Cancel-safe.
    pub(super) async fn rows_changed(&self) {
        self.0.rows_changed.notified().await;
    }

    /// Waits until what is presented has changed since the last call. Cancel-safe.
    pub(crate) async fn presented_changed(&self) {
        self.0.presented_changed.notified().await;
    }
}

impl State {
    fn remove_unknown(&mut self) {
        let Self { rows, presented, removed, .. } = self;
        removed.extend(presented.keys().filter(|domain| !rows.contains_key(*domain)).cloned());
    }

    /// Notes whether the certificate of a row is missing, after one of them has changed.
    fn compare(&mut self, domain: DomainName) {
        let Some(known) = self.rows.get_mut(&domain) else {
            self.missing.remove(&domain);
            return;
        };
        if self.presented.get(&domain).is_some_and(|presented| presented.satisfies(known)) {
            // It is missing again only if another row replaces this one: then that has its chain.
            known.drop_chain();
            self.missing.remove(&domain);
        } else {
            self.missing.insert(domain);
        }
    }

    fn missing(&self) -> impl Iterator<Item = (&DomainName, Seq, &Arc<CertificateState>)> {
        self.missing.iter().filter_map(|domain| {
            let KnownRow { seq, row, .. } = self.rows.get(domain)?;
            Some((domain, *seq, row))
        })
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, date_time_ymd};
    use verge_protocol::Timestamp;

    use super::*;

    const NAME: &str = "a.example";

    /// The row of a certificate that begins on a day of January 2029 and ends on that of April, with its certificate.
    fn issued(names: &[&str], day: u8) -> (CertificateState, Presented) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(names.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
        params.not_before = date_time_ymd(2029, 1, day);
        params.not_after = date_time_ymd(2029, 4, day);
        let time = |time: i64| Timestamp(u64::try_from(time).unwrap() * 1000);
        let row = CertificateState {
            names: names.iter().map(|name| name.parse().unwrap()).collect(),
            key: Digest::of(&key.subject_public_key_info()),
            not_before: time(params.not_before.unix_timestamp()),
            not_after: time(params.not_after.unix_timestamp()),
            chain: params.self_signed(&key).unwrap().pem(),
            confirmed: true,
        };
        let certificate = Certificate::from_pkcs8(row.chain.as_bytes(), key.serialize_der()).unwrap();
        let chain = Digest::of(row.chain.as_bytes());
        (row, Presented { chain, certificate: Arc::new(certificate), is_saved: true })
    }

    #[test]
    fn row_of_an_older_certificate_does_not_replace_the_one_that_is_presented() {
        let fleet = FleetCertificates::default();
        let domain: DomainName = NAME.parse().unwrap();
        fleet.add([(domain.clone(), issued(&[NAME], 10).1)]);
        for (names, day, is_missing) in [
            (&[NAME][..], 8, false),
            (&[NAME], 9, true),
            (&[NAME], 10, true),
            (&[NAME], 11, true),
            (&[NAME, "b.example"], 1, true),
        ] {
            fleet.apply(domain.clone(), Seq(1), Some(issued(names, day).0));
            assert_eq!(fleet.missing().len(), usize::from(is_missing), "{names:?} of day {day}");
            assert_eq!(fleet.lagging().len(), usize::from(is_missing));
        }
    }

    #[test]
    fn chain_of_a_row_is_kept_only_while_its_certificate_is_missing() {
        let fleet = FleetCertificates::default();
        let domain: DomainName = NAME.parse().unwrap();
        let (row, presented) = issued(&[NAME], 10);
        let kept = || !fleet.state().rows[&domain].row.chain.is_empty();
        fleet.apply(domain.clone(), Seq(1), Some(row.clone()));
        assert!(kept() && fleet.missing()[0].2.chain == row.chain);
        fleet.add([(domain.clone(), Presented { is_saved: false, ..presented.clone() })]);
        assert!(kept(), "it is requested again");
        fleet.add([(domain.clone(), presented)]);
        assert!(!kept() && fleet.missing().is_empty());
        fleet.apply(domain.clone(), Seq(2), Some(row.clone()));
        assert!(!kept() && fleet.missing().is_empty(), "the same row again");
        let (other, _) = issued(&[NAME], 11);
        fleet.apply(domain.clone(), Seq(3), Some(other.clone()));
        assert!(kept() && fleet.missing()[0].2.chain == other.chain);
    }

    #[test]
    fn certificates_have_caught_up_once_each_is_presented_or_cannot_be_got() {
        let fleet = FleetCertificates::default();
        let [one, other]: [DomainName; 2] = [NAME, "b.example"].map(|name| name.parse().unwrap());
        let (row, presented) = issued(&[NAME], 10);
        fleet.apply(one.clone(), Seq(1), Some(row));
        fleet.apply(other.clone(), Seq(2), Some(issued(&["b.example"], 10).0));
        fleet.add([(one.clone(), presented)]);
        assert!(!fleet.has_caught_up());
        fleet.record_failure(other, Failure::NoKey);
        assert!(fleet.has_caught_up());
        fleet.apply(one, Seq(3), Some(issued(&[NAME], 20).0));
        assert!(fleet.has_caught_up(), "a renewed certificate does not take the edge away");
    }
}
