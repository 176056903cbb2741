//! Certificates with their private keys on disk, so that an edge serves them without an origin.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use verge_daemon::atomic_file::{self, Durability};
use verge_daemon::saved_state;
use verge_daemon::sealing::EdgeKey;
use verge_protocol::{Digest, DomainName};

/// A part of the data directory: `certificates/` with a file for each, `tickets.json` and `edge.key`. All are for their owner only.
#[derive(Clone)]
pub(super) struct CertificateStore {
    data: PathBuf,
}

/// A certificate as it is saved.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct SavedCertificate {
    pub(super) domain: DomainName,
    /// In PEM.
    pub(super) chain: String,
    /// PKCS#8 in DER.
    #[serde(with = "base64_text")]
    pub(super) key: Vec<u8>,
}

/// A secret as it is saved.
#[derive(Serialize, Deserialize)]
struct SavedSecret(#[serde(with = "base64_text")] Vec<u8>);

mod base64_text {
    use base64::Engine as _;
    use serde::de::Error as _;
    use serde::{Deserialize as _, Deserializer, Serializer};

    use super::BASE64;

    pub(super) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&BASE64.encode(bytes))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        BASE64.decode(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

impl CertificateStore {
    /// Creates the directory if needed, and deletes what an earlier process left unfinished. Blocks.
    pub(super) fn open(data: &Path) -> io::Result<Self> {
        let store = Self { data: data.to_owned() };
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(store.directory())?;
        atomic_file::delete_unfinished(&store.directory())?;
        Ok(store)
    }

    fn directory(&self) -> PathBuf {
        self.data.join("certificates")
    }

    fn path(&self, domain: &DomainName) -> PathBuf {
        self.directory().join(format!("{domain}.json"))
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        atomic_file::write(&self.directory(), path, bytes, Durability::WithName)
    }

    /// Calls `each` with every certificate on disk, one after the other: of many, all texts at once would take much memory. Damaged files are
    /// logged, and left out. Blocks.
    pub(super) fn load(&self, mut each: impl FnMut(SavedCertificate)) -> io::Result<()> {
        for file in std::fs::read_dir(self.directory())? {
            let path = file?.path();
            let damaged =
                || tracing::error!(file = %path.display(), "a saved certificate is damaged: requesting it again");
            saved_state::load(&path, damaged).records.into_iter().for_each(&mut each);
        }
        Ok(())
    }

    /// Saves a certificate. Blocks.
    pub(super) fn save(&self, certificate: &SavedCertificate) -> io::Result<()> {
        self.write(&self.path(&certificate.domain), &saved_state::encode([certificate])?)
    }

    /// Deletes a certificate. Blocks.
    pub(super) fn delete(&self, domain: &DomainName) -> io::Result<()> {
        match std::fs::remove_file(self.path(domain)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// The secret of session tickets. Blocks.
    pub(super) fn load_ticket_secret(&self) -> Option<Vec<u8>> {
        let path = self.data.join("tickets.json");
        saved_state::load(&path, || ()).records.pop().map(|SavedSecret(secret)| secret)
    }

    /// Saves the secret of session tickets. Blocks.
    pub(super) fn save_ticket_secret(&self, secret: &[u8]) -> io::Result<()> {
        self.write(&self.data.join("tickets.json"), &saved_state::encode([SavedSecret(secret.to_vec())])?)
    }

    /// The key of this edge, made if there is none. A damaged one is an error: the origin knows only that one. Blocks.
    pub(super) fn edge_key(&self) -> Result<EdgeKey, String> {
        let path = self.data.join("edge.key");
        let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
        match std::fs::read_to_string(&path) {
            Ok(text) => EdgeKey::from_text(&text).map_err(|error| {
                let hint =
                    "delete the file, write the token of `verge edges token` to `token_file`, and restart the edge";
                format!("{}; {hint}", failed(&error))
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = EdgeKey::generate();
                self.write(&path, key.to_text().as_bytes()).map_err(|error| failed(&error))?;
                Ok(key)
            }
            Err(error) => Err(failed(&error)),
        }
    }
}

impl SavedCertificate {
    /// The digest of its chain.
    pub(super) fn chain_digest(&self) -> Digest {
        Digest::of(self.chain.as_bytes())
    }
}
