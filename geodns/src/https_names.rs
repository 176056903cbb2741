//! The names that every edge has a certificate for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use foldhash::{HashSet, HashSetExt as _};
use verge_protocol::CertificateName;

use crate::dns::name::{self, Name};
use crate::dns::record::{RecordSet, RecordType};

/// The HTTPS record (RFC 9460 §9) of such a name: the service is at the name itself, at the port of the URL, and speaks HTTP/2 and HTTP/1.1.
/// It has no addresses, which would be the same for all clients.
pub(crate) static HTTPS_RECORD: LazyLock<RecordSet> = LazyLock::new(|| {
    let alpn = b"\x02h2\x08http/1.1";
    let priority: &[u8] = &[0, 1];
    let target: &[u8] = &[0];
    let alpn_parameter: &[u8] = &[0, 1, 0, 12];
    let data = [priority, target, alpn_parameter, alpn].concat().into_boxed_slice();
    RecordSet { record_type: RecordType::HTTPS, ttl: 300, data: vec![data] }
});

/// The names of certificates that the edges have confirmed.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct HttpsNames {
    hosts: HashSet<Name>,
    /// The domains of wildcards.
    wildcards: HashSet<Name>,
}

impl HttpsNames {
    pub(crate) fn new<'a>(certificates: impl Iterator<Item = &'a BTreeSet<CertificateName>>) -> Self {
        let (mut hosts, mut wildcards) = (HashSet::new(), HashSet::new());
        for certificate_name in certificates.flatten() {
            match certificate_name {
                CertificateName::Host(domain) => hosts.insert(Name::from(domain)),
                CertificateName::Wildcard(domain) => wildcards.insert(Name::from(domain)),
            };
        }
        Self { hosts, wildcards }
    }

    /// Whether `name`, in canonical wire form, is one of them. Neither allocates nor locks.
    pub(crate) fn contains(&self, name: &[u8]) -> bool {
        self.hosts.contains(name) || name::parent(name).is_some_and(|parent| self.wildcards.contains(parent))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_one_label_below_a_wildcard_are_contained() {
        let names = ["example.com", "*.sites.example.org"].map(|name| name.parse().unwrap());
        let https_names = HttpsNames::new([BTreeSet::from(names)].iter());
        for (name, contained) in [
            ("example.com", true),
            ("demo.sites.example.org", true),
            ("sites.example.org", false),
            ("a.demo.sites.example.org", false),
            ("www.example.com", false),
            (".", false),
        ] {
            assert_eq!(https_names.contains(Name::parse(name).unwrap().wire()), contained, "{name}");
        }
    }
}
