//! Certificates of the fleet, and the secrets that belong to them.
//!
//! Imports point one way: `issuer` runs `orders` as `plan` decides; `orders` speaks to an `authority` and asks name servers by `dns_check`, and stores the keys in the `vault`,
//! which encrypts them under the `master_key`.

mod authority;
mod dns_check;
mod issuer;
mod master_key;
mod orders;
mod plan;
mod vault;
mod x509;

pub(crate) use authority::Authority;
pub use authority::{AuthoritySettings, ExternalAccount};
pub(crate) use dns_check::DnsCheck;
pub(crate) use issuer::{Issuer, Standing};
pub(crate) use orders::Orders;
pub(crate) use vault::{SecretName, Vault, VaultError};
pub(crate) use x509::issuer as issuer_of;
