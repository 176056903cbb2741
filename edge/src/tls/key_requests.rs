//! The task that gets the private keys of the fleet's certificates, and presents the certificates.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::random;
use verge_daemon::sealing::EdgeKey;
use verge_daemon::tls::{Certificate, CertificateError, Tickets};
use verge_daemon::{Backoff, error_chain};
use verge_protocol::api::{SECRETS_MAX, SecretsRequest};
use verge_protocol::certificate::CertificateState;
use verge_protocol::{Digest, DomainName, EdgeName, Seq};

use super::certificate_store::{CertificateStore, SavedCertificate};
use super::fleet_certificates::{Failure, FleetCertificates, Presented};
use super::presented::PresentedCertificates;
use crate::upstream::Upstream;

/// Gets what is missing: requests secrets, opens them, saves them, and presents the certificates.
pub(super) struct KeyRequestsTask {
    pub(super) fleet: FleetCertificates,
    pub(super) store: CertificateStore,
    /// The error says why there is none.
    pub(super) key: Result<EdgeKey, String>,
    pub(super) upstream: Upstream,
    pub(super) presented: PresentedCertificates,
    pub(super) tickets: Arc<Tickets>,
    /// The name of the secret that tickets are under; `None`: this edge's own.
    pub(super) ticket_secret: Option<Digest>,
    /// Whether an origin has answered since the start: it knows the key of this edge then, and has made the secret of session tickets.
    pub(super) is_known: bool,
    pub(super) name: EdgeName,
}

/// What is to be requested: what is not presented yet, or nothing if the origin only needs to know this edge.
struct Missing {
    certificates: Vec<(DomainName, Seq, Arc<CertificateState>)>,
    tickets: Option<Digest>,
}

impl KeyRequestsTask {
    /// Runs for ever.
    pub(super) async fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            self.remove().await;
            if let Some(missing) = self.missing() {
                self.get(missing).await;
            }
            tokio::select! {
                () = self.fleet.rows_changed() => {}
                () = async {
                    if self.missing().is_none() {
                        backoff.reset();
                        std::future::pending::<()>().await;
                    }
                    tokio::time::sleep(backoff.failed(random())).await;
                } => {}
            }
        }
    }

    fn missing(&self) -> Option<Missing> {
        let tickets = self.fleet.tickets().filter(|secret| Some(*secret) != self.ticket_secret);
        let missing = Missing { certificates: self.fleet.missing(), tickets };
        (!self.is_known || !missing.certificates.is_empty() || tickets.is_some()).then_some(missing)
    }

    /// Ends what the feed has no more.
    async fn remove(&self) {
        let removed = self.fleet.take_removed();
        if removed.is_empty() {
            return;
        }
        self.presented.set_fleet(self.fleet.presented());
        let store = self.store.clone();
        let delete = move || {
            for domain in removed {
                if let Err(error) = store.delete(&domain) {
                    tracing::warn!(%domain, %error, "failed to delete a certificate");
                }
            }
        };
        tokio::task::spawn_blocking(delete).await.expect("deleting files does not panic");
    }

    async fn get(&mut self, missing: Missing) {
        let names = missing.certificates.iter().map(|(.., row)| row.key).chain(missing.tickets);
        let names: Vec<Digest> = names.collect();
        let mut secrets = BTreeMap::new();
        let mut failure = None;
        let requests = if names.is_empty() { vec![names.as_slice()] } else { names.chunks(SECRETS_MAX).collect() };
        for names in requests {
            match self.request(names).await {
                Ok(opened) => {
                    self.is_known = true;
                    secrets.extend(opened);
                }
                Err(reason) => {
                    tracing::debug!(reason, "no answer to a request for secrets");
                    failure = Some(reason);
                    break;
                }
            }
        }
        if let Some((name, Some(secret))) = missing.tickets.and_then(|name| secrets.remove_entry(&name)) {
            self.set_ticket_secret(name, secret).await;
        }
        let mut usable = Vec::new();
        for (domain, _, row) in missing.certificates {
            let key = match secrets.get(&row.key) {
                Some(Some(key)) => Ok(key),
                Some(None) => Err(Failure::Other("its private key cannot be opened".to_owned())),
                None => Err(failure.clone().map_or(Failure::NoKey, Failure::Other)),
            };
            let certificate = key.and_then(|key| match Self::certificate(&row, key) {
                Ok(certificate) => Ok((key, certificate)),
                Err(error) => Err(Failure::Other(error.to_string())),
            });
            match certificate {
                Ok((key, certificate)) => {
                    let chain = row.chain.clone();
                    usable.push((SavedCertificate { domain, chain, key: key.clone() }, certificate));
                }
                Err(failure) => self.fleet.record_failure(domain, failure),
            }
        }
        self.present(usable).await;
    }

    /// Requests secrets and opens them. Those that the origin does not have are left out; `None`: it cannot be opened.
    async fn request(&self, names: &[Digest]) -> Result<BTreeMap<Digest, Option<Vec<u8>>>, String> {
        let key = self.key.as_ref().map_err(Clone::clone)?;
        let request = SecretsRequest { public_key: key.public(), secrets: names.to_vec() };
        let answer = self.upstream.secrets(&request).await;
        let answer = answer.map_err(|error| format!("failed to request secrets: {}", error_chain(&error)))?;
        let open = |(name, sealed)| match key.open(&self.name, name, &sealed) {
            Ok(secret) => (name, Some(secret)),
            Err(error) => {
                tracing::error!(secret = %name, %error, "a secret of the origin cannot be opened");
                (name, None)
            }
        };
        Ok(answer.sealed.into_iter().map(open).collect())
    }

    /// The certificate of a row with its key. Whether it is valid now is the origin's decision, which goes by the time of the authority: the clock
    /// of this edge may be wrong.
    fn certificate(row: &CertificateState, key: &[u8]) -> Result<Arc<Certificate>, CertificateError> {
        let certificate = parse(&row.chain, key)?;
        if certificate.key_digest() != row.key {
            return Err(CertificateError::KeyMismatch);
        }
        certificate.check_key()?;
        Ok(Arc::new(certificate))
    }

    /// Saves certificates, then presents them. One that cannot be saved is presented all the same, and counts as missing.
    async fn present(&self, usable: Vec<(SavedCertificate, Arc<Certificate>)>) {
        if usable.is_empty() {
            return;
        }
        let store = self.store.clone();
        let save = move || {
            let save = |(saved, certificate): (SavedCertificate, _)| {
                let (result, chain) = (store.save(&saved), saved.chain_digest());
                let presented = Presented { chain, certificate, is_saved: result.is_ok() };
                (saved.domain, presented, result)
            };
            usable.into_iter().map(save).collect::<Vec<_>>()
        };
        let results = tokio::task::spawn_blocking(save).await.expect("saving files does not panic");
        let presented = results.iter().map(|(domain, presented, _)| (domain.clone(), presented.clone()));
        self.fleet.add(presented);
        self.presented.set_fleet(self.fleet.presented());
        for (domain, presented, result) in results {
            match result {
                Ok(()) => tracing::info!(%domain, until = %presented.certificate.not_after(), "certificate presented"),
                Err(error) => {
                    self.fleet.record_failure(domain, Failure::Other(format!("it is not saved: {error}")));
                }
            }
        }
    }

    async fn set_ticket_secret(&mut self, name: Digest, secret: Vec<u8>) {
        if Digest::of(&secret) != name {
            return tracing::error!("the origin sent another secret of session tickets than the feed names");
        }
        self.tickets.set_secret(&secret);
        self.ticket_secret = Some(name);
        let store = self.store.clone();
        let saved = tokio::task::spawn_blocking(move || store.save_ticket_secret(&secret)).await;
        if let Err(error) = saved.expect("saving a file does not panic") {
            tracing::warn!(%error, "failed to save the secret of session tickets: it is requested again after a restart");
        }
    }
}

/// A certificate with a key in PKCS#8.
pub(super) fn parse(chain: &str, key: &[u8]) -> Result<Certificate, CertificateError> {
    Certificate::from_pkcs8(chain.as_bytes(), key.to_vec())
}
