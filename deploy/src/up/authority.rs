//! The certificate authority of `verge up --https`: made on this machine, for this machine alone.
//!
//! Who wants browsers to trust it imports its root; no trust store is touched. The root may sign names below `localhost` only, and no
//! address (RFC 5280 §4.2.1.10), so whoever gets hold of its key can pretend to be no site of the internet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CidrSubnet, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use verge_daemon::DataDir;
use verge_daemon::data_dir::DataDirError;
use verge_daemon::tls::CertificateFiles;
use verge_daemon::tls::certificate::first_der;
use verge_protocol::Timestamp;

/// The files in the directory of the authority.
const ROOT: &str = "root.pem";
const ROOT_KEY: &str = "root.key";
const CHAIN: &str = "chain.pem";
const KEY: &str = "key.pem";

/// How long a certificate is valid. Apple's systems accept 825 days at most.
const LIFETIME: Duration = Duration::from_hours(90 * 24);
/// The age at which one is replaced.
const RENEWAL_AGE: Duration = Duration::from_hours(30 * 24);
/// How long before its issue one is valid: for programs whose clock is a little behind.
const BACKDATED: Duration = Duration::from_hours(1);

/// The authority, and the certificate of the cluster.
pub(super) struct LocalAuthority {
    data: DataDir,
    root: Issuer<'static, KeyPair>,
    has_replaced_root: bool,
    /// The names of the certificate, and when it was issued.
    issued: Option<(BTreeSet<String>, Timestamp)>,
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    /// The directory cannot be used.
    #[error(transparent)]
    Data(#[from] DataDirError),
    /// A file cannot be read or written.
    #[error("failed to access {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// The key of the root is damaged.
    #[error("invalid key of the certificate authority in {}: delete the directory to make another one", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: rcgen::Error,
    },
    /// A certificate cannot be made.
    #[error("failed to make a certificate")]
    Certificate(#[from] rcgen::Error),
}

impl LocalAuthority {
    /// Opens the authority of an earlier start, or makes one. Blocks.
    pub(super) fn open(directory: &Path) -> Result<Self, AuthorityError> {
        let data = DataDir::open(directory)?;
        let (certificate, key) = (directory.join(ROOT), directory.join(ROOT_KEY));
        let exists = key.exists() && certificate.exists();
        let is_current = exists && excludes_addresses(&std::fs::read(&certificate).map_err(failed(&certificate))?);
        let key_pair = if is_current {
            let text = std::fs::read_to_string(&key).map_err(failed(&key))?;
            KeyPair::from_pem(&text).map_err(|source| AuthorityError::Key { path: key, source })?
        } else {
            let key_pair = KeyPair::generate()?;
            // The key first: a root without it would be trusted in vain.
            data.replace(ROOT_KEY, key_pair.serialize_pem().as_bytes()).map_err(failed(&key))?;
            let root = root().self_signed(&key_pair)?;
            data.replace(ROOT, root.pem().as_bytes()).map_err(failed(&certificate))?;
            key_pair
        };
        let has_replaced_root = exists && !is_current;
        Ok(Self { data, root: Issuer::new(root(), key_pair), has_replaced_root, issued: None })
    }

    /// Whether there was a root of an earlier version, which could vouch for addresses, and there is another one now.
    pub(super) fn has_replaced_root(&self) -> bool {
        self.has_replaced_root
    }

    /// The root certificate, in PEM.
    pub(super) fn root(&self) -> PathBuf {
        self.data.path().join(ROOT)
    }

    /// The certificate of the cluster and its key, which exist once [`Self::issue`] has succeeded.
    pub(super) fn files(&self) -> CertificateFiles {
        CertificateFiles { chain: self.data.path().join(CHAIN), key: self.data.path().join(KEY) }
    }

    /// Whether the certificate was issued since the start, and for this name too.
    pub(super) fn has_issued(&self, name: &str) -> bool {
        self.issued.as_ref().is_some_and(|(names, _)| names.contains(name))
    }

    /// Has the certificate be valid for exactly these names at `now`, and for some weeks. Returns whether it was replaced. Blocks.
    pub(super) fn issue(&mut self, names: BTreeSet<String>, now: Timestamp) -> Result<bool, AuthorityError> {
        let is_current = |(known, at): &(BTreeSet<String>, Timestamp)| *known == names && at.age(now) < RENEWAL_AGE;
        if self.issued.as_ref().is_some_and(is_current) {
            return Ok(false);
        }
        let mut params = CertificateParams::new(names.iter().cloned().collect::<Vec<_>>())?;
        let epoch = date_time_ymd(1970, 1, 1);
        params.not_before = epoch + Duration::from_millis(now.before(BACKDATED).0);
        params.not_after = epoch + Duration::from_millis(now.after(LIFETIME).0);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "Verge on this machine");
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.root)?;
        let CertificateFiles { chain, key: key_file } = self.files();
        self.data.replace(KEY, key.serialize_pem().as_bytes()).map_err(failed(&key_file))?;
        self.data.replace(CHAIN, certificate.pem().as_bytes()).map_err(failed(&chain))?;
        self.issued = Some((names, now));
        Ok(true)
    }
}

/// Every IPv4 and every IPv6 address.
const ANY_ADDRESS: [CidrSubnet; 2] = [CidrSubnet::V4([0; 4], [0; 4]), CidrSubnet::V6([0; 16], [0; 16])];

/// Whether a root certificate in PEM says that it can vouch for no address: in DER, each of [`ANY_ADDRESS`] is a `GeneralName` of the kind
/// `iPAddress` (tag 7), of address and mask.
fn excludes_addresses(pem: &[u8]) -> bool {
    let Some(der) = first_der(pem) else { return false };
    let contains = |name: &[u8]| der.windows(name.len()).any(|window| window == name);
    contains(&[&[0x87, 8][..], &[0; 8]].concat()) && contains(&[&[0x87, 32][..], &[0; 32]].concat())
}

/// What the root certificate says.
fn root() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Verge on this machine: root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("localhost".to_owned())],
        // Of kinds that no subtree is permitted of, all names are permitted.
        excluded_subtrees: ANY_ADDRESS.map(GeneralSubtree::IpAddress).into(),
    });
    (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(2046, 1, 1));
    params
}

fn failed(path: &Path) -> impl FnOnce(std::io::Error) -> AuthorityError {
    let path = path.to_owned();
    move |source| AuthorityError::File { path, source }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::client::WebPkiServerVerifier;
    use tokio_rustls::rustls::client::danger::ServerCertVerifier as _;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;
    use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, UnixTime};
    use verge_daemon::tls::provider::provider;

    use super::*;

    fn names(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn certificate_is_replaced_for_other_names_and_when_it_is_a_month_old() {
        let directory = tempfile::tempdir().unwrap();
        let mut authority = LocalAuthority::open(&directory.path().join("https")).unwrap();
        let day = |days: u64| Timestamp(1_790_000_000_000).after(Duration::from_hours(24 * days));
        for (names, at, is_replaced) in [
            (names(&["a.localhost"]), day(0), true),
            (names(&["a.localhost"]), day(1), false),
            (names(&["a.localhost", "b.localhost"]), day(1), true),
            (names(&["a.localhost", "b.localhost"]), day(30), false),
            (names(&["a.localhost", "b.localhost"]), day(31), true),
        ] {
            assert_eq!(authority.issue(names, at).unwrap(), is_replaced);
        }
        authority.files().check(day(32)).unwrap();
    }

    /// Whether a client that trusts the root accepts a certificate of this authority for the name in it.
    fn is_trusted(authority: &LocalAuthority, name: &str) -> bool {
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec![name.to_owned()]).unwrap().signed_by(&key, &authority.root).unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_file(authority.root()).unwrap()).unwrap();
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider()).build().unwrap();
        let name = ServerName::try_from(name).unwrap();
        verifier.verify_server_cert(leaf.der(), &[], &name, &[], UnixTime::now()).is_ok()
    }

    #[test]
    fn root_vouches_for_names_below_localhost_and_for_no_address() {
        let directory = tempfile::tempdir().unwrap();
        let authority = LocalAuthority::open(&directory.path().join("https")).unwrap();
        assert!(is_trusted(&authority, "demo.localhost") && is_trusted(&authority, "localhost"));
        assert!(!is_trusted(&authority, "example.com"));
        for address in ["1.1.1.1", "127.0.0.1", "2606:4700:4700::1111", "::1"] {
            assert!(!is_trusted(&authority, address), "{address}");
        }
    }

    #[test]
    fn root_that_could_vouch_for_addresses_is_replaced_and_said_so() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("https");
        let first = LocalAuthority::open(&path).unwrap();
        assert!(!first.has_replaced_root());
        let mut params = root();
        params.name_constraints.as_mut().unwrap().excluded_subtrees.clear();
        let old = params.self_signed(first.root.key()).unwrap().pem();
        let read = |name: &str| std::fs::read_to_string(path.join(name)).unwrap();
        let key = read(ROOT_KEY);
        drop(first);
        std::fs::write(path.join(ROOT), &old).unwrap();
        let replaced = LocalAuthority::open(&path).unwrap();
        assert!(replaced.has_replaced_root() && !is_trusted(&replaced, "1.1.1.1"));
        assert!(read(ROOT) != old && read(ROOT_KEY) != key);
        drop(replaced);
        assert!(!LocalAuthority::open(&path).unwrap().has_replaced_root());
    }

    #[test]
    fn root_is_kept_and_its_key_is_for_the_owner_only() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("https");
        let root = |authority: &LocalAuthority| std::fs::read_to_string(authority.root()).unwrap();
        let first = root(&LocalAuthority::open(&path).unwrap());
        assert_eq!(root(&LocalAuthority::open(&path).unwrap()), first);
        let mode = std::fs::metadata(path.join(ROOT_KEY)).unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{mode:o}");
        std::fs::write(path.join(ROOT_KEY), "damaged").unwrap();
        let error = LocalAuthority::open(&path).map(drop).unwrap_err().to_string();
        assert!(error.starts_with("invalid key of the certificate authority in "), "{error}");
    }
}
