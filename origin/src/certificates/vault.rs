//! Secrets at rest: encrypted under the master key, in the database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use verge_daemon::{Clock, error_chain};
use verge_protocol::Digest;
use verge_protocol::api::Problem;
use verge_protocol::certificate::TicketSecretState;

use super::master_key::MasterKey;
use crate::feed::Feed;
use crate::store::{Database, SecretRow, StoreError};

/// An error if the file of the master key exists and holds none. Blocks.
pub(crate) fn check_master_key(path: &Path) -> anyhow::Result<()> {
    MasterKey::read(path)?;
    Ok(())
}

/// What a secret is, and by what it is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SecretName {
    /// The private key of a certificate (PKCS#8 DER), by the SHA-256 of its `SubjectPublicKeyInfo`.
    CertificateKey(Digest),
    /// The secret of session tickets, by its SHA-256.
    Tickets(Digest),
    /// An account at a certificate authority, by the URL of the directory. Never given to an edge.
    Account(String),
}

impl fmt::Display for SecretName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CertificateKey(digest) => write!(formatter, "key/{digest}"),
            Self::Tickets(digest) => write!(formatter, "tickets/{digest}"),
            Self::Account(directory) => write!(formatter, "account/{directory}"),
        }
    }
}

/// Why a secret was not stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum VaultError {
    #[error("{0}")]
    Locked(String),
    #[error("the secret `{0}` is damaged")]
    Damaged(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The secrets. Clones share them.
///
/// While the master key is missing or is not the one that encrypted them, the vault is locked: nothing is read, and nothing is written,
/// so that the right key can be put back.
#[derive(Clone)]
pub(crate) struct Vault {
    database: Database,
    clock: Clock,
    master: Result<Arc<MasterKey>, Arc<str>>,
}

impl Vault {
    /// Reads the master key; makes one if there is none and nothing is encrypted yet.
    pub(crate) async fn open(database: Database, clock: Clock, path: &Path) -> Result<Self, StoreError> {
        let known = database.masters().await?;
        let master = unlock(path, &known).map(Arc::new).map_err(|reason| {
            tracing::error!(reason, "secrets cannot be decrypted: certificates are neither issued nor sent to edges");
            Arc::from(reason)
        });
        Ok(Self { database, clock, master })
    }

    /// Why the vault is locked, if it is.
    pub(crate) fn problem(&self) -> Option<Problem> {
        self.master.as_ref().err().map(|reason| Problem::MasterKey { reason: reason.to_string() })
    }

    /// An error while it is locked: nothing can be stored.
    pub(super) fn check_unlocked(&self) -> Result<(), VaultError> {
        self.master().map(drop)
    }

    fn master(&self) -> Result<&MasterKey, VaultError> {
        self.master.as_deref().map_err(|reason| VaultError::Locked(reason.to_string()))
    }

    /// A secret as the database stores it.
    pub(crate) fn seal(&self, name: &SecretName, secret: &[u8]) -> Result<SecretRow, VaultError> {
        let (master, name) = (self.master()?, name.to_string());
        Ok(SecretRow { sealed: master.seal(&name, secret), master: master.id().to_owned(), name })
    }

    /// Stores a secret. It replaces an earlier one of its name.
    pub(crate) async fn put(&self, name: &SecretName, secret: &[u8]) -> Result<(), VaultError> {
        Ok(self.database.put_secret(&self.seal(name, secret)?, self.clock.now()).await?)
    }

    /// Reads a secret; `None` if there is none of this name.
    pub(crate) async fn get(&self, name: &SecretName) -> Result<Option<Vec<u8>>, VaultError> {
        let master = self.master()?;
        let name = name.to_string();
        let Some(row) = self.database.secret(&name).await? else { return Ok(None) };
        master.open(&name, &row.sealed).map(Some).ok_or(VaultError::Damaged(name))
    }

    /// Deletes the private key of a certificate, which is damaged: the certificate is then ordered anew. One that is encrypted under another
    /// master key is not: that key may be put back.
    pub(crate) async fn delete_damaged_key(&self, key: Digest) -> Result<(), VaultError> {
        let (master, name) = (self.master()?, SecretName::CertificateKey(key).to_string());
        let Some(row) = self.database.secret(&name).await? else { return Ok(()) };
        // Of one that cannot be read, it is not known.
        if row.master != master.id() && !row.master.is_empty() {
            tracing::error!(%key, master = row.master, "a private key is encrypted under another master key");
            return Ok(());
        }
        tracing::error!(%key, "a private key is damaged, and deleted: its certificate is ordered anew");
        Ok(self.database.delete_certificate_key(key).await?)
    }

    /// Makes the secret of session tickets if there is none that can be read.
    pub(crate) async fn ensure_ticket_secret(&self, feed: &Feed) -> Result<(), VaultError> {
        self.master()?;
        if let Some(published) = self.database.ticket_secret().await?
            && let Ok(Some(_)) = self.get(&SecretName::Tickets(published.secret)).await
        {
            return Ok(());
        }
        self.replace_ticket_secret(feed).await
    }

    /// Makes another secret of session tickets: sessions of before are not resumed.
    pub(crate) async fn replace_ticket_secret(&self, feed: &Feed) -> Result<(), VaultError> {
        let secret: [u8; 32] = rand::random();
        let published = TicketSecretState { secret: Digest::of(&secret) };
        let row = self.seal(&SecretName::Tickets(published.secret), &secret)?;
        let (database, now) = (self.database.clone(), self.clock.now());
        Ok(feed.write(async move { database.set_ticket_secret(&row, published, now).await }).await?)
    }
}

/// The master key in the file, if it is the one of `known`; a new one if nothing is encrypted yet. The error is for a person to read.
fn unlock(path: &Path, known: &[String]) -> Result<MasterKey, String> {
    let shown = path.display();
    match MasterKey::read(path).map_err(|error| error_chain(&error))? {
        // A damaged row must not lock the others.
        Some(key) if known.is_empty() || known.iter().any(|known| known == key.id()) => Ok(key),
        Some(key) => {
            let (id, known) = (key.id(), known.join(", "));
            Err(format!("{shown} holds master key {id}, but the secrets are encrypted under master key {known}"))
        }
        None if known.is_empty() => MasterKey::create(path).map_err(|error| error_chain(&error)),
        None => Err(format!("{shown} does not exist, but secrets are encrypted under master key {}", known.join(", "))),
    }
}
