//! Certificates of the fleet, and the secrets that belong to them.
//!
//! Imports point one way: `issuer` runs `orders` as `plan`, `site_groups` and `order_names` decide, by the `inventory` of what is wanted and
//! what there is, obeys `authority_limits`, and tells of `obstacles`; `orders` speaks to an `authority` and asks name servers by `dns_check`, and
//! stores the keys in the `vault`, which encrypts them under the `master_key`. `upkeep` follows what edges present; `rekeying` has keys
//! replaced.

mod api_certificate;
mod authority;
mod authority_limits;
mod authority_time;
mod dns_check;
mod inventory;
mod issuer;
mod master_key;
mod obstacles;
mod order_names;
mod order_progress;
mod orders;
mod plan;
mod rekeying;
mod renewal_windows;
mod running_orders;
mod site_groups;
mod upkeep;
mod vault;
mod x509;

pub(crate) use api_certificate::ApiCertificate;
pub(crate) use authority::Authority;
pub use authority::{AuthoritySettings, ExternalAccount};
pub(crate) use authority_limits::KnownLimits;
pub(crate) use dns_check::DnsCheck;
pub(crate) use inventory::Inventory;
pub use inventory::SiteCertificates;
pub(crate) use issuer::{Issuer, Standing};
pub(crate) use order_progress::OrdersProgress;
pub(crate) use orders::Orders;
pub(crate) use rekeying::{RekeyError, Rekeying};
pub(crate) use vault::{SecretName, Vault, VaultError, check_master_key};
pub(crate) use x509::{issuer as issuer_of, key_type as key_type_of};
