//! The certificate authorities, as CAA records name them (RFC 8659 §4.2). An authority says it in its directory (`caaIdentities`, RFC 8555
//! §7.1.1).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use verge_protocol::DomainName;

/// Let's Encrypt's name, known before it is asked.
const LETS_ENCRYPT: &str = "letsencrypt.org";

/// What is known of the authorities that certificates are ordered from. Clones share it.
#[derive(Clone)]
pub(crate) struct CaaIssuers(Arc<Mutex<BTreeMap<String, BTreeSet<String>>>>);

impl CaaIssuers {
    /// The authorities with these directories.
    pub(crate) fn new<'a>(directories: impl IntoIterator<Item = &'a str>) -> Self {
        let named = directories.into_iter().map(|directory| (directory.to_owned(), known_before(directory)));
        Self(Arc::new(Mutex::new(named.collect())))
    }

    /// Records what the authority with this directory calls itself. Texts that are no domain names are left out; if none is left, what was known
    /// before stays.
    pub(crate) fn learn(&self, directory: &str, identities: &[String]) {
        let names = identities.iter().filter_map(|text| text.to_ascii_lowercase().parse::<DomainName>().ok());
        let names: BTreeSet<String> = names.map(|name| name.to_string()).collect();
        if let Some(known) = self.lock().get_mut(directory).filter(|_| !names.is_empty()) {
            *known = names;
        }
    }

    /// The names that are known.
    pub(crate) fn known(&self) -> BTreeSet<String> {
        self.lock().values().flatten().cloned().collect()
    }

    /// The names, if there is an authority and each has said its own: one whose name is not known must not be forbidden.
    pub(crate) fn complete(&self) -> Option<BTreeSet<String>> {
        let all = self.lock();
        let is_complete = !all.is_empty() && all.values().all(|names| !names.is_empty());
        is_complete.then(|| all.values().flatten().cloned().collect())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn known_before(directory: &str) -> BTreeSet<String> {
    let host = url::Url::parse(directory).ok().and_then(|url| url.host_str().map(str::to_owned)).unwrap_or_default();
    if host.ends_with(".api.letsencrypt.org") { [LETS_ENCRYPT.to_owned()].into() } else { BTreeSet::new() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificates::AuthoritySettings;

    const OTHER: &str = "https://acme.example.org/directory";

    fn names(texts: &[&str]) -> BTreeSet<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn issuers_are_complete_once_each_authority_has_said_its_names() {
        assert_eq!(CaaIssuers::new([]).complete(), None);
        assert_eq!(CaaIssuers::new([AuthoritySettings::DIRECTORY]).complete(), Some(names(&["letsencrypt.org"])));
        let issuers = CaaIssuers::new([AuthoritySettings::DIRECTORY, OTHER]);
        assert_eq!((issuers.known(), issuers.complete()), (names(&["letsencrypt.org"]), None));
        for nothing in [&[][..], &[String::new()], &["no name; x=1".to_owned()]] {
            issuers.learn(OTHER, nothing);
            assert_eq!(issuers.complete(), None);
        }
        issuers.learn("https://unknown.example/", &["unknown.example".to_owned()]);
        issuers.learn(OTHER, &["CA.example.org".to_owned(), "a b".to_owned(), "ca2.example.org".to_owned()]);
        assert_eq!(issuers.complete(), Some(names(&["ca.example.org", "ca2.example.org", "letsencrypt.org"])));
        issuers.learn(OTHER, &[]);
        assert!(issuers.complete().is_some(), "a later directory without names is taken for an error");
    }
}
