//! The certificates of a server, by name.

use std::collections::HashMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use verge_protocol::CertificateName;

use super::certificate::Certificate;

/// The certificates that a server presents, chosen by the server name of a handshake (RFC 6066 §3).
///
/// A look-up takes no lock. A replacement concerns later handshakes; established connections go on.
#[derive(Debug, Default)]
pub struct Certificates(ArcSwap<Snapshot>);

#[derive(Debug, Default)]
struct Snapshot {
    /// By host name.
    hosts: HashMap<Box<str>, Arc<Certificate>>,
    /// By the domain after `*.`.
    wildcards: HashMap<Box<str>, Arc<Certificate>>,
}

impl Certificates {
    /// Replaces all certificates. If several have the same name, the first one is presented for it.
    pub fn replace(&self, certificates: impl IntoIterator<Item = Arc<Certificate>>) {
        let mut snapshot = Snapshot::default();
        for certificate in certificates {
            for name in certificate.names() {
                let (by_name, domain) = match name {
                    CertificateName::Host(host) => (&mut snapshot.hosts, host),
                    CertificateName::Wildcard(domain) => (&mut snapshot.wildcards, domain),
                };
                by_name.entry(domain.as_str().into()).or_insert_with(|| Arc::clone(&certificate));
            }
        }
        self.0.store(Arc::new(snapshot));
    }

    /// The certificate for a host, which is lowercase: one with its name, else one with a wildcard for it.
    pub fn find(&self, host: &str) -> Option<Arc<Certificate>> {
        let snapshot = self.0.load();
        let exact = snapshot.hosts.get(host);
        exact.or_else(|| snapshot.wildcards.get(host.split_once('.')?.1)).cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = self.find(hello.server_name()?)?;
        match certificate.certified_key() {
            Ok(key) => Some(Arc::clone(key)),
            Err(error) => {
                tracing::error!(names = ?certificate.names(), %error, "a certificate cannot be presented");
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_support::certificate;
    use super::*;

    #[test]
    fn exact_name_is_preferred_to_wildcard_of_one_label() {
        let certificates = Certificates::default();
        let (wildcard, exact) =
            (certificate(&["*.sites.example"]), certificate(&["demo.sites.example", "example.com"]));
        certificates.replace([Arc::clone(&wildcard), Arc::clone(&exact)]);
        for (host, expected) in [
            ("demo.sites.example", Some(&exact)),
            ("example.com", Some(&exact)),
            ("other.sites.example", Some(&wildcard)),
            ("a.b.sites.example", None),
            ("sites.example", None),
            ("www.example.com", None),
            ("", None),
            (".", None),
        ] {
            let found = certificates.find(host);
            assert_eq!(found.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr), "{host}");
        }
    }

    #[test]
    fn first_certificate_of_a_name_is_presented() {
        let certificates = Certificates::default();
        let (own, other) = (certificate(&["a.example"]), certificate(&["a.example", "b.example"]));
        certificates.replace([Arc::clone(&own), Arc::clone(&other)]);
        assert!(Arc::ptr_eq(&certificates.find("a.example").unwrap(), &own));
        assert!(Arc::ptr_eq(&certificates.find("b.example").unwrap(), &other));
        certificates.replace([]);
        assert!(certificates.find("a.example").is_none());
    }
}
