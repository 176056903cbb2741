//! The CNAME record that lets the fleet answer the DNS-01 challenges of a domain.

use verge_protocol::{Digest, DomainName};

/// The owner name of the record: `_acme-challenge.www.example.com`.
pub(crate) fn challenge_name(domain: &DomainName) -> String {
    format!("_acme-challenge.{domain}")
}

/// The name to which it may be delegated: one that is unique to the domain.
pub(crate) fn delegated_owner(domain: &DomainName, base: &DomainName) -> String {
    format!("{}._acme-challenge.{base}", Digest::of(domain.as_str().as_bytes()).prefix())
}
