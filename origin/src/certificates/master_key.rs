//! The key under which secrets are encrypted in the database. It is in a file of its own, never in the database.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::Path;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use verge_daemon::atomic_file::{self, Durability};
use verge_daemon::secret;
use verge_protocol::Digest;

/// Length of the key, in bytes.
const LEN: usize = 32;

/// The key. Not printed.
pub(super) struct MasterKey {
    key: LessSafeKey,
    id: String,
}

/// Why the file holds no key.
#[derive(Debug, thiserror::Error)]
pub(super) enum MasterKeyError {
    #[error("failed to read the master key {path}")]
    Read { path: String, source: io::Error },
    #[error("failed to create the master key {path}")]
    Create { path: String, source: io::Error },
    #[error("invalid master key in {path}: expected 64 hex digits")]
    Malformed { path: String },
}

impl MasterKey {
    /// Reads the key; `None` if the file does not exist.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, MasterKeyError> {
        let named = || path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => {
                secret::warn_if_readable_by_all(path);
                Self::parse(text.trim()).map(Some).ok_or_else(|| MasterKeyError::Malformed { path: named() })
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(MasterKeyError::Malformed { path: named() }),
            Err(source) => Err(MasterKeyError::Read { path: named(), source }),
        }
    }

    /// Makes a key and writes it to the file, which only its owner can read.
    pub(super) fn create(path: &Path) -> Result<Self, MasterKeyError> {
        let failed = |source| MasterKeyError::Create { path: path.display().to_string(), source };
        let bytes: [u8; LEN] = rand::random();
        let text = Digest::from_bytes(bytes).to_string();
        let directory = path.parent().ok_or_else(|| failed(ErrorKind::InvalidInput.into()))?;
        atomic_file::write(directory, path, format!("{text}\n").as_bytes(), Durability::WithName).map_err(failed)?;
        Ok(Self::new(bytes))
    }

    fn parse(text: &str) -> Option<Self> {
        // The text form of 32 bytes is that of a digest.
        text.parse::<Digest>().ok().map(|bytes| Self::new(*bytes.as_bytes()))
    }

    fn new(bytes: [u8; LEN]) -> Self {
        let id = Digest::of(&[b"verge master key ".as_slice(), &bytes].concat()).prefix();
        let key = UnboundKey::new(&AES_256_GCM, &bytes).expect("the key has the length of the algorithm");
        Self { key: LessSafeKey::new(key), id }
    }

    /// What tells it from other keys; reveals nothing about it.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Encrypts a secret. Returns nonce and ciphertext in base64; the nonce is random.
    pub(super) fn seal(&self, name: &str, secret: &[u8]) -> String {
        let nonce: [u8; NONCE_LEN] = rand::random();
        let mut bytes = secret.to_vec();
        self.key
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(name), &mut bytes)
            .expect("a secret is shorter than the algorithm's limit");
        STANDARD.encode([nonce.as_slice(), &bytes].concat())
    }

    /// Decrypts a secret. `None` if it is damaged, or was encrypted by another key or under another name.
    pub(super) fn open(&self, name: &str, sealed: &str) -> Option<Vec<u8>> {
        let bytes = STANDARD.decode(sealed).ok()?;
        let (nonce, ciphertext) = bytes.split_at_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut ciphertext = ciphertext.to_vec();
        Some(self.key.open_in_place(nonce, Aad::from(name), &mut ciphertext).ok()?.to_vec())
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "MasterKey({})", self.id)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn created_key_is_read_again_by_its_owner_alone() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("master.key");
        assert!(MasterKey::read(&path).unwrap().is_none());
        let key = MasterKey::create(&path).unwrap();
        let again = MasterKey::read(&path).unwrap().unwrap();
        assert_eq!(again.open("name", &key.seal("name", b"hush")).unwrap(), b"hush");
        assert_eq!(key.id(), again.id());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short").unwrap();
        assert!(matches!(MasterKey::read(&path), Err(MasterKeyError::Malformed { .. })));
        std::fs::write(&path, [0xff; 64]).unwrap();
        assert!(matches!(MasterKey::read(&path), Err(MasterKeyError::Malformed { .. })));
    }

    #[test]
    fn secret_opens_under_its_own_name_and_key_alone() {
        let (key, other) = (MasterKey::new([1; LEN]), MasterKey::new([2; LEN]));
        let sealed = key.seal("name", b"hush");
        assert_ne!(sealed, key.seal("name", b"hush"), "the nonce differs");
        assert!(key.open("other", &sealed).is_none() && other.open("name", &sealed).is_none());
        assert!(key.open("name", &sealed[..8]).is_none() && key.open("name", "").is_none());
        assert_ne!(key.id(), other.id());
    }
}
