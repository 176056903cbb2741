//! Certificates of the fleet, and the secrets that belong to them.
//!
//! Imports point one way: `vault` encrypts secrets under the key of `master_key`.

mod master_key;
mod vault;

pub(crate) use vault::{SecretName, Vault, VaultError};
