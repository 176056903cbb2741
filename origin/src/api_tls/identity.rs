//! The origin's identity: a key that clients pin, made at the first start with TLS.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, DistinguishedName, KeyPair, PublicKeyData as _};
use verge_daemon::DataDir;
use verge_daemon::tls::Certificate;
use verge_protocol::{Digest, KeyPin};

/// The file in the data directory: PKCS#8 in PEM, readable by its owner only.
const FILE: &str = "identity.key";
/// The name in the certificate. Clients verify the key, and no name.
const NAME: &str = "verge-origin.invalid";

/// An ECDSA P-256 key, and a certificate that it has signed itself.
pub(crate) struct Identity {
    key: KeyPair,
    certificate: Arc<Certificate>,
    pin: KeyPin,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IdentityError {
    /// The file cannot be read.
    #[error("failed to read the identity key {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    /// It was not made yet.
    #[error("there is no identity key {}: the origin makes it at its first start with `tls_listen`", .0.display())]
    None(PathBuf),
    /// The file cannot be written.
    #[error("failed to write the identity key {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    /// The file holds no key.
    #[error(
        "invalid identity key {}: restore it from a backup, or delete it to have another one made, whose pin all clients then need",
        path.display()
    )]
    Malformed { path: PathBuf, source: rcgen::Error },
}

/// The pin of the identity key in a data directory.
pub(crate) fn read_pin(data: &Path) -> Result<KeyPin, IdentityError> {
    let path = data.join(FILE);
    Ok(pin(&read(&path)?.ok_or(IdentityError::None(path))?))
}

impl Identity {
    /// Reads the key; makes it if there is none. The certificate is made anew each time.
    pub(super) fn open(data: &DataDir) -> Result<Self, IdentityError> {
        let path = data.path().join(FILE);
        let malformed = |source| IdentityError::Malformed { path: path.clone(), source };
        let key = if let Some(key) = read(&path)? {
            key
        } else {
            let key = KeyPair::generate().map_err(malformed)?;
            let written = data.replace(FILE, key.serialize_pem().as_bytes());
            written.map_err(|source| IdentityError::Write { path: path.clone(), source })?;
            tracing::info!(path = %path.display(), "identity key made");
            key
        };
        // Valid from 1975 to 4096.
        let mut params = CertificateParams::new(vec![NAME.to_owned()]).map_err(malformed)?;
        params.distinguished_name = DistinguishedName::new();
        let signed = params.self_signed(&key).map_err(malformed)?;
        let certificate = Certificate::from_pkcs8(signed.pem().as_bytes(), key.serialize_der())
            .expect("what was signed is a certificate");
        Ok(Self { certificate: Arc::new(certificate), pin: pin(&key), key })
    }

    pub(crate) fn key(&self) -> &KeyPair {
        &self.key
    }

    pub(super) fn certificate(&self) -> &Arc<Certificate> {
        &self.certificate
    }

    pub(super) fn pin(&self) -> KeyPin {
        self.pin
    }
}

fn read(path: &Path) -> Result<Option<KeyPair>, IdentityError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(IdentityError::Read { path: path.to_owned(), source }),
    };
    KeyPair::from_pem(&text).map(Some).map_err(|source| IdentityError::Malformed { path: path.to_owned(), source })
}

fn pin(key: &KeyPair) -> KeyPin {
    KeyPin::new(Digest::of(&key.subject_public_key_info()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn key_is_made_once_for_its_owner_alone_and_a_damaged_one_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        assert!(matches!(read_pin(folder.path()), Err(IdentityError::None(_))));
        let identity = Identity::open(&data).unwrap();
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(identity.certificate.key_digest(), identity.pin.digest());
        assert_eq!(
            (Identity::open(&data).unwrap().pin, read_pin(folder.path()).unwrap()),
            (identity.pin, identity.pin)
        );
        for damaged in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            std::fs::write(&path, damaged).unwrap();
            assert!(matches!(Identity::open(&data), Err(IdentityError::Malformed { .. })), "{damaged}");
        }
    }
}
