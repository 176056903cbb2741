//! The certificates of the fleet: what the feed says, and what of it is presented.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use verge_daemon::tls::Certificate;
use verge_protocol::certificate::{CertificateState, TicketSecretState};
use verge_protocol::report::CertificateLag;
use verge_protocol::{Digest, DomainName, Seq};

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
}

#[derive(Default)]
struct State {
    rows: BTreeMap<DomainName, (Seq, Arc<CertificateState>)>,
    tickets: Option<Digest>,
    presented: BTreeMap<DomainName, Presented>,
    /// Those of which the feed has said that they are no more.
    removed: BTreeSet<DomainName>,
    /// Why the last attempt to get a certificate failed.
    failures: BTreeMap<DomainName, Failure>,
}

/// Why a certificate cannot be presented.
#[derive(Debug, Clone, PartialEq, Eq)]
    /// See [`FleetCertificates::has_caught_up`].
    has_caught_up: bool,
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
    fn is_of(&self, row: &CertificateState) -> bool {
        self.is_saved && self.certificate.key_digest() == row.key && self.chain == Digest::of(row.chain.as_bytes())
    }
}

impl FleetCertificates {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies the row of a certificate; `None` removes it.
    pub(crate) fn apply(&self, domain: DomainName, seq: Seq, row: Option<CertificateState>) {
        let mut state = self.state();
        state.failures.remove(&domain);
        if let Some(row) = row {
            state.removed.remove(&domain);
            state.rows.insert(domain, (seq, Arc::new(row)));
        } else {
            state.rows.remove(&domain);
            state.removed.insert(domain);
        }
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
        state.remove_unknown();
        if !keys.contains("secret/tickets") {
            state.tickets = None;
        }
        self.0.rows_changed.notify_one();
    }

    /// The certificates that are not presented as of their latest row.
    pub(crate) fn lagging(&self) -> Vec<CertificateLag> {
        let state = self.state();
        let lag = |(domain, seq): (&DomainName, Seq)| {
            let reason = state.failures.get(domain).map_or("requesting its private key", Failure::reason);
            CertificateLag { domain: domain.clone(), seq, reason: reason.to_owned() }
        };
        state.missing().map(|(domain, seq, _)| lag((domain, seq))).collect()
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
    /// Whether all certificates of the feed were presented at some time when this was called, or could not be got. Call it once the feed is known.
    pub(super) fn has_caught_up(&self) -> bool {
        let mut state = self.state();
        let is_settled = |domain| state.failures.contains_key(domain);
        state.has_caught_up = state.has_caught_up || state.missing().all(|(domain, ..)| is_settled(domain));
        state.has_caught_up
    }

    }

    /// Presents certificates, with those before.
    pub(super) fn add(&self, added: impl IntoIterator<Item = (DomainName, Presented)>) {
        let mut state = self.state();
        for (domain, presented) in added {
            state.failures.remove(&domain);
            state.presented.insert(domain, presented);
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
        state.presented.retain(|domain, _| !removed.contains(domain));
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

    fn missing(&self) -> impl Iterator<Item = (&DomainName, Seq, &Arc<CertificateState>)> {
        self.rows.iter().filter_map(|(domain, (seq, row))| {
            let is_presented = self.presented.get(domain).is_some_and(|presented| presented.is_of(row));
            (!is_presented).then_some((domain, *seq, row))
        })
    }
}
