//! The certificate authority of `verge up --https`: made on this machine, for this machine alone.
//!
//! Who wants browsers to trust it imports its root; no trust store is touched. The root may sign names below `localhost` only (RFC 5280
//! §4.2.1.10), so whoever gets hold of its key can pretend to be no site of the internet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, NameConstraints, date_time_ymd,
};
use verge_daemon::DataDir;
use verge_daemon::data_dir::DataDirError;
use verge_daemon::tls::CertificateFiles;
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
        let key_pair = if key.exists() && certificate.exists() {
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
        Ok(Self { data, root: Issuer::new(root(), key_pair), issued: None })
    }

    /// The root certificate, in PEM.
    pub(super) fn root(&self) -> PathBuf {
        self.data.path().join(ROOT)
    }

    /// The certificate of the cluster and its key, which exist once [`Self::issue`] has succeeded.
    pub(super) fn files(&self) -> CertificateFiles {
        CertificateFiles { chain: self.data.path().join(CHAIN), key: self.data.path().join(KEY) }
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

/// What the root certificate says.
fn root() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, "Verge on this machine: root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.name_constraints = Some(NameConstraints {
        permitted_subtrees: vec![GeneralSubtree::DnsName("localhost".to_owned())],
        excluded_subtrees: Vec::new(),
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
