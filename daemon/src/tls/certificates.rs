//! The certificates of a server, by name.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::fmt;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use futures_util::future::BoxFuture;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use verge_protocol::CertificateName;

use super::certificate::Certificate;

/// The certificates that a server presents, chosen by the server name of a handshake (RFC 6066 §3).
///
/// A look-up takes no lock. A replacement concerns later handshakes; established connections go on.
#[derive(Debug, Default)]
pub struct Certificates {
    snapshot: ArcSwap<Snapshot>,
    has_default: bool,
    provider: OnceLock<Provider>,
}

/// Adds the certificate of a server name that has none, if it should have one, before it returns.
type Provide = dyn Fn(&str) -> BoxFuture<'static, ()> + Send + Sync;

struct Provider(Box<Provide>);

impl fmt::Debug for Provider {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Provider")
    }
}

#[derive(Debug, Default)]
struct Snapshot {
    /// By host name.
    hosts: HashMap<Box<str>, Arc<Certificate>>,
    /// By the domain after `*.`.
    wildcards: HashMap<Box<str>, Arc<Certificate>>,
    /// Each certificate once, with the first of its names for which it is presented.
    distinct: Vec<(CertificateName, Arc<Certificate>)>,
}

impl Certificates {
    /// None yet. The first one is presented to clients that name no server, or one without a certificate, too: those of a server that is
    /// reached by address.
    pub fn with_default() -> Self {
        Self { has_default: true, ..Self::default() }
    }

    /// Replaces all certificates. If several have the same name, the first one is presented for it.
    pub fn replace(&self, certificates: impl IntoIterator<Item = Arc<Certificate>>) {
        self.replace_ranked([certificates]);
    }

    /// Replaces all certificates by those of these ranks, the best first: a wildcard of a better rank is presented for a host even if there is
    /// a certificate for that very host.
    pub fn replace_ranked<R: IntoIterator<Item = Arc<Certificate>>>(&self, ranks: impl IntoIterator<Item = R>) {
        let mut snapshot = Snapshot::default();
        for rank in ranks {
            let rank: Vec<Arc<Certificate>> = rank.into_iter().collect();
            // While hosts are inserted, the wildcards are those of better ranks.
            for certificate in &rank {
                snapshot.insert_hosts(certificate);
            }
            for certificate in &rank {
                snapshot.insert_wildcards(certificate);
            }
            for certificate in rank {
                let is_presented = |name: &&CertificateName| snapshot.is_presented(name, &certificate);
                if let Some(name) = certificate.names().iter().find(is_presented).cloned() {
                    snapshot.distinct.push((name, certificate));
                }
            }
        }
        self.snapshot.store(Arc::new(snapshot));
    }

    /// The certificates that are presented, each once, with the first of the names for which it is.
    pub fn presented(&self) -> Vec<(CertificateName, Arc<Certificate>)> {
        self.snapshot.load().distinct.clone()
    }

    /// The certificate for a host, which is lowercase: of the best rank that has one, the one with its name, else one with a wildcard for it.
    pub fn find(&self, host: &str) -> Option<Arc<Certificate>> {
        let snapshot = self.snapshot.load();
        snapshot.hosts.get(host).or_else(|| snapshot.wildcard(host)).cloned()
    }

    /// Has `provide` be called for each server name that has no certificate, before a client that sent it is refused. It adds the certificate, if
    /// there should be one, and decides how often it looks: anybody can send any name. Only the first call of this has an effect.
    pub fn set_provider(&self, provide: impl Fn(&str) -> BoxFuture<'static, ()> + Send + Sync + 'static) {
        let _ = self.provider.set(Provider(Box::new(provide)));
    }

    /// [`Self::select`], once the provider, if there is one, was asked for a name without a certificate.
    pub async fn select_or_provide(&self, server_name: Option<&str>) -> Option<Arc<Certificate>> {
        let selected = self.select(server_name);
        let (None, Some(name), Some(provider)) = (&selected, server_name, self.provider.get()) else { return selected };
        (provider.0)(name).await;
        self.select(server_name)
    }

    /// The certificate for a client that sent this server name, or none.
    pub fn select(&self, server_name: Option<&str>) -> Option<Arc<Certificate>> {
        server_name.and_then(|name| self.find(name)).or_else(|| {
            let snapshot = self.has_default.then(|| self.snapshot.load())?;
            snapshot.distinct.first().map(|(_, certificate)| Arc::clone(certificate))
        })
    }
}

impl Snapshot {
    fn insert_hosts(&mut self, certificate: &Arc<Certificate>) {
        for name in certificate.names() {
            let CertificateName::Host(host) = name else { continue };
            if self.wildcard(host.as_str()).is_none()
                && let Entry::Vacant(entry) = self.hosts.entry(host.as_str().into())
            {
                entry.insert(Arc::clone(certificate));
            }
        }
    }

    fn insert_wildcards(&mut self, certificate: &Arc<Certificate>) {
        for name in certificate.names() {
            let CertificateName::Wildcard(domain) = name else { continue };
            if let Entry::Vacant(entry) = self.wildcards.entry(domain.as_str().into()) {
                entry.insert(Arc::clone(certificate));
            }
        }
    }

    fn wildcard(&self, host: &str) -> Option<&Arc<Certificate>> {
        self.wildcards.get(host.split_once('.')?.1)
    }

    fn is_presented(&self, name: &CertificateName, certificate: &Arc<Certificate>) -> bool {
        let presented = match name {
            CertificateName::Host(host) => self.hosts.get(host.as_str()),
            CertificateName::Wildcard(domain) => self.wildcards.get(domain.as_str()),
        };
        presented.is_some_and(|presented| Arc::ptr_eq(presented, certificate))
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let certificate = self.select(hello.server_name())?;
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
    fn wildcard_of_a_better_rank_is_preferred_to_the_exact_name() {
        let certificates = Certificates::default();
        let wildcard = certificate(&["*.sites.example"]);
        let exact = certificate(&["demo.sites.example", "example.com"]);
        let find = |host: &str| certificates.find(host).unwrap();
        certificates.replace_ranked([vec![Arc::clone(&wildcard)], vec![Arc::clone(&exact)]]);
        assert!(Arc::ptr_eq(&find("demo.sites.example"), &wildcard) && Arc::ptr_eq(&find("example.com"), &exact));
        let presented: Vec<_> = certificates.presented().iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(presented, ["*.sites.example", "example.com"]);
        certificates.replace_ranked([vec![Arc::clone(&exact)], vec![Arc::clone(&wildcard)]]);
        assert!(Arc::ptr_eq(&find("demo.sites.example"), &exact));
        assert!(Arc::ptr_eq(&find("other.sites.example"), &wildcard));
    }

    #[test]
    fn first_certificate_of_a_name_is_presented() {
        let certificates = Certificates::default();
        let (own, other) = (certificate(&["a.example"]), certificate(&["a.example", "b.example"]));
        certificates.replace([Arc::clone(&own), Arc::clone(&other)]);
        assert!(Arc::ptr_eq(&certificates.find("a.example").unwrap(), &own));
        assert!(Arc::ptr_eq(&certificates.find("b.example").unwrap(), &other));
        let presented: Vec<_> = certificates.presented().iter().map(|(name, _)| name.to_string()).collect();
        assert_eq!(presented, ["a.example", "b.example"]);
        certificates.replace([]);
        assert!(certificates.find("a.example").is_none());
    }

    #[tokio::test]
    async fn provider_is_asked_for_a_name_without_a_certificate_only() {
        let certificates = Arc::new(Certificates::default());
        let (known, provided) = (certificate(&["a.example"]), certificate(&["a.example", "b.example"]));
        certificates.replace([Arc::clone(&known)]);
        assert!(certificates.select_or_provide(Some("b.example")).await.is_none(), "there is no provider");
        let asked = Arc::new(std::sync::Mutex::new(Vec::new()));
        let provide = {
            let (certificates, provided, asked) =
                (Arc::downgrade(&certificates), Arc::clone(&provided), Arc::clone(&asked));
            move |name: &str| -> BoxFuture<'static, ()> {
                asked.lock().unwrap().push(name.to_owned());
                if name == "b.example" {
                    certificates.upgrade().unwrap().replace([Arc::clone(&provided)]);
                }
                Box::pin(std::future::ready(()))
            }
        };
        certificates.set_provider(provide);
        for (name, expected) in [
            (Some("a.example"), Some(&known)),
            (Some("c.example"), None),
            (None, None),
            (Some("b.example"), Some(&provided)),
            (Some("b.example"), Some(&provided)),
        ] {
            let selected = certificates.select_or_provide(name).await;
            assert_eq!(selected.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr), "{name:?}");
        }
        assert_eq!(*asked.lock().unwrap(), ["c.example", "b.example"]);
    }

    #[test]
    fn first_certificate_is_the_default_only_where_there_is_one() {
        let (first, other) = (certificate(&["a.example"]), certificate(&["b.example"]));
        for (certificates, default) in [(Certificates::with_default(), Some(&first)), (Certificates::default(), None)] {
            assert!(certificates.select(None).is_none());
            certificates.replace([Arc::clone(&first), Arc::clone(&other)]);
            for (name, expected) in [
                (Some("a.example"), Some(&first)),
                (Some("b.example"), Some(&other)),
                (Some("c.example"), default),
                (None, default),
            ] {
                let selected = certificates.select(name);
                assert_eq!(selected.as_ref().map(Arc::as_ptr), expected.map(Arc::as_ptr), "{name:?}");
            }
        }
    }
}
