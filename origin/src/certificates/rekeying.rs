//! Replacing private keys that may be compromised.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::certificate::CertificateState;
use verge_protocol::{Digest, DomainName};

use super::vault::{Vault, VaultError};
use crate::feed::Feed;
use crate::store::{Database, StoreError};

/// Has certificates ordered anew, with other private keys.
pub(crate) struct Rekeying {
    pub(crate) database: Database,
    pub(crate) feed: Feed,
    pub(crate) vault: Vault,
    /// Whether there is an authority to order from.
    pub(crate) has_authority: bool,
}

/// Why keys are not replaced.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RekeyError {
    #[error("there is no certificate for {0}")]
    UnknownCertificate(DomainName),
    #[error("the certificate of the API, for {0}, is for the identity key, which clients pin")]
    OfApi(DomainName),
    #[error("no certificates are ordered: the configuration of the origin has no `[acme]` section")]
    NoAuthority,
    #[error("no keys can be stored: {0}")]
    Vault(VaultError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Rekeying {
    /// Makes the certificates due that have any of these names. What is presented stays until they are issued. Returns the domains that identify
    /// them.
    pub(crate) async fn certificates(&self, names: &BTreeSet<DomainName>) -> Result<BTreeSet<DomainName>, RekeyError> {
        let all = self.database.certificates().await?;
        let mut due: BTreeMap<DomainName, Digest> = BTreeMap::new();
        for name in names {
            let has_name = |domain: &DomainName, state: &CertificateState| {
                domain == name || state.names.iter().any(|certified| certified.covers(name.as_str()))
            };
            let found: Vec<_> = all.iter().filter(|(domain, (_, state))| has_name(domain, state)).collect();
            if found.is_empty() {
                return Err(RekeyError::UnknownCertificate(name.clone()));
            }
            due.extend(found.into_iter().map(|(domain, (_, state))| (domain.clone(), state.key)));
        }
        if !self.has_authority {
            return Err(RekeyError::NoAuthority);
        }
        self.vault.check_unlocked().map_err(RekeyError::Vault)?;
        self.database.put_rekeys(&due).await?;
        Ok(due.into_keys().collect())
    }

    /// Makes all certificates due, and replaces the secret of session tickets at once.
    pub(crate) async fn everything(&self) -> Result<BTreeSet<DomainName>, VaultError> {
        let due =
            self.database.certificates().await?.into_iter().map(|(domain, (_, state))| (domain, state.key)).collect();
        self.database.put_rekeys(&due).await?;
        self.vault.replace_ticket_secret(&self.feed).await?;
        Ok(due.into_keys().collect())
    }
}
