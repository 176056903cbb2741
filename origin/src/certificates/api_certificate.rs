//! The certificate of the API's own name, for the origin's identity key: clients verify the name, or the pin as before. No edge has it.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rcgen::KeyPair;
use verge_daemon::atomic_file::{self, Durability};
use verge_daemon::error_chain;
use verge_protocol::certificate::CertificateState;
use verge_protocol::{CertificateName, DomainName, Timestamp};

use super::plan::Wanted;
use super::x509;
use crate::api_tls::ApiTls;

/// The file in the data directory: the chain, in PEM.
const FILE: &str = "api-certificate.pem";

/// The certificate that is wanted, and the one that is presented. Clones share it.
#[derive(Clone)]
pub(crate) struct ApiCertificate(Arc<Inner>);

struct Inner {
    wanted: Wanted,
    tls: ApiTls,
    directory: PathBuf,
    current: Mutex<Option<CertificateState>>,
    /// By token, while an order lasts.
    challenges: Mutex<BTreeMap<String, String>>,
}

impl ApiCertificate {
    /// Presents the certificate that an earlier process has left in the data directory, if it is for `name` and the identity key.
    pub(crate) fn open(name: DomainName, tls: ApiTls, directory: &Path) -> Self {
        let wanted = Wanted { names: [CertificateName::Host(name.clone())].into(), domain: name };
        let certificate = Self(Arc::new(Inner {
            wanted,
            tls,
            directory: directory.to_owned(),
            current: Mutex::default(),
            challenges: Mutex::default(),
        }));
        let path = directory.join(FILE);
        let left = match std::fs::read_to_string(&path) {
            Ok(chain) => certificate.check(chain).map_err(|error| error_chain(&error)).map(Some),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error_chain(&error)),
        };
        match left.and_then(|state| state.map(|state| certificate.present(state)).transpose()) {
            Ok(_) => {}
            Err(reason) => {
                tracing::warn!(path = %path.display(), reason, "the certificate of the API is not used: another one is ordered");
            }
        }
        certificate
    }

    /// Whether this is the certificate with this identifier.
    pub(super) fn is(&self, wanted: &Wanted) -> bool {
        self.0.wanted.domain == wanted.domain
    }

    pub(super) fn wanted(&self) -> &Wanted {
        &self.0.wanted
    }

    pub(super) fn key(&self) -> &KeyPair {
        self.0.tls.identity().expect("an origin with a name for its API has an identity").key()
    }

    pub(super) fn current(&self) -> Option<CertificateState> {
        lock(&self.0.current).clone()
    }

    /// Stores a certificate, and presents it in place of the earlier one.
    pub(super) async fn replace(&self, new: CertificateState) -> io::Result<()> {
        let this = self.clone();
        let write = move || {
            let (directory, path) = (&this.0.directory, this.0.directory.join(FILE));
            atomic_file::write(directory, &path, new.chain.as_bytes(), Durability::WithName)?;
            this.present(new).map_err(io::Error::other)
        };
        tokio::task::spawn_blocking(write).await.unwrap_or_else(|error| Err(io::Error::other(error)))
    }

    /// Answers the challenges of an order: the key authorization of each token.
    pub(super) fn set_challenges(&self, challenges: BTreeMap<String, String>) {
        *lock(&self.0.challenges) = challenges;
    }

    /// What the authority expects to find at this token (RFC 8555 §8.3).
    pub(crate) fn challenge(&self, token: &str) -> Option<String> {
        lock(&self.0.challenges).get(token).cloned()
    }

    fn check(&self, chain: String) -> Result<CertificateState, x509::ChainError> {
        // One that has expired is presented until there is another one: clients with the pin connect.
        x509::check(chain, x509::key_name(self.key()), &self.0.wanted.names, Timestamp::default())
    }

    fn present(&self, state: CertificateState) -> Result<(), String> {
        self.0.tls.present_issued(&state.chain).map_err(|error| error.to_string())?;
        *lock(&self.0.current) = Some(state);
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
