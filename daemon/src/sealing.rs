//! Secrets, encrypted by the origin to the key of one edge (HPKE, RFC 9180).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as SUITE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use verge_protocol::api::SealedSecret;
use verge_protocol::{Digest, EdgeName};

/// Length of either key, in bytes.
const KEY_LEN: usize = 32;

/// Binds the ciphertext to its use.
const INFO: &[u8] = b"verge secret";

/// Why a secret was not sealed or opened.
#[derive(Debug, thiserror::Error)]
pub enum SealingError {
    /// The public key is malformed.
    #[error("invalid public key of an edge: expected 32 bytes in base64")]
    PublicKey,
    /// The key file does not hold the two keys.
    #[error("invalid key file of an edge: expected a private and a public key in base64, one a line")]
    KeyFile,
    /// The private key does not belong to the public one.
    #[error("invalid key file of an edge: the keys do not match")]
    KeysDiffer,
    /// The sealed secret is malformed, or was sealed for another edge, to another key, or under another name.
    #[error("secret {0} cannot be decrypted: it was sealed to another key, or is damaged")]
    Undecryptable(Digest),
    /// Encryption failed.
    #[error("encryption failed")]
    Crypto,
}

/// The public key of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey([u8; KEY_LEN]);

impl PublicKey {
    /// Parses base64.
    pub fn parse(text: &str) -> Result<Self, SealingError> {
        let bytes = STANDARD.decode(text).map_err(|_| SealingError::PublicKey)?;
        bytes.try_into().map(Self).map_err(|_| SealingError::PublicKey)
    }

    /// In base64.
    pub fn to_text(&self) -> String {
        STANDARD.encode(self.0)
    }

    /// Encrypts a secret to this key: only `edge` can open it, and only as `name`.
    pub fn seal(&self, edge: &EdgeName, name: Digest, secret: &[u8]) -> Result<SealedSecret, SealingError> {
        let key = HpkePublicKey(self.0.to_vec());
        let (encapsulated, ciphertext) =
            SUITE.seal(INFO, &associated_data(edge, name), secret, &key).map_err(|_| SealingError::Crypto)?;
        Ok(SealedSecret { encapsulated_key: STANDARD.encode(encapsulated.0), ciphertext: STANDARD.encode(ciphertext) })
    }
}

/// The key pair of an edge.
pub struct EdgeKey {
    public: PublicKey,
    private: HpkePrivateKey,
}

impl EdgeKey {
    /// A new key pair.
    pub fn generate() -> Result<Self, SealingError> {
        let (public, private) = SUITE.generate_key_pair().map_err(|_| SealingError::Crypto)?;
        let public = public.0.try_into().map_err(|_| SealingError::Crypto)?;
        Ok(Self { public: PublicKey(public), private })
    }

    /// Parses the text of a key file. Fails if the keys do not belong together.
    pub fn parse(text: &str) -> Result<Self, SealingError> {
        let mut lines = text.lines();
        let (Some(private), Some(public), None) = (lines.next(), lines.next(), lines.next()) else {
            return Err(SealingError::KeyFile);
        };
        let private = STANDARD.decode(private).map_err(|_| SealingError::KeyFile)?;
        if private.len() != KEY_LEN {
            return Err(SealingError::KeyFile);
        }
        let key = Self {
            public: PublicKey::parse(public).map_err(|_| SealingError::KeyFile)?,
            private: HpkePrivateKey::from(private),
        };
        let (edge, probe) = ("probe".parse().expect("a valid name"), Digest::of(b"probe"));
        let sealed = key.public.seal(&edge, probe, b"probe").map_err(|_| SealingError::KeysDiffer)?;
        key.open(&edge, probe, &sealed).map_err(|_| SealingError::KeysDiffer)?;
        Ok(key)
    }

    /// The text of a key file, which [`Self::parse`] reads. It holds the private key.
    pub fn to_text(&self) -> String {
        format!("{}\n{}\n", STANDARD.encode(self.private.secret_bytes()), self.public.to_text())
    }

    /// The public key.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// Decrypts the secret `name` that was sealed for `edge` to this key.
    pub fn open(&self, edge: &EdgeName, name: Digest, sealed: &SealedSecret) -> Result<Vec<u8>, SealingError> {
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| SealingError::Undecryptable(name));
        let encapsulated = EncapsulatedSecret(decode(&sealed.encapsulated_key)?);
        let ciphertext = decode(&sealed.ciphertext)?;
        SUITE
            .open(&encapsulated, INFO, &associated_data(edge, name), &ciphertext, &self.private)
            .map_err(|_| SealingError::Undecryptable(name))
    }
}

fn associated_data(edge: &EdgeName, name: Digest) -> Vec<u8> {
    format!("{name} {edge}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_secret_is_opened_by_its_edge_under_its_name_alone() {
        let (fra, ams): (EdgeName, EdgeName) = ("fra-1".parse().unwrap(), "ams-1".parse().unwrap());
        let (key, other) = (EdgeKey::generate().unwrap(), EdgeKey::generate().unwrap());
        let name = Digest::of(b"name");
        let sealed = key.public().seal(&fra, name, b"hush").unwrap();
        assert_eq!(key.open(&fra, name, &sealed).unwrap(), b"hush");
        assert!(key.open(&ams, name, &sealed).is_err());
        assert!(key.open(&fra, Digest::of(b"other"), &sealed).is_err());
        assert!(other.open(&fra, name, &sealed).is_err());
        let cut = SealedSecret { ciphertext: sealed.ciphertext[..8].to_owned(), ..sealed };
        assert!(key.open(&fra, name, &cut).is_err());
    }

    #[test]
    fn key_file_is_read_again_and_damaged_ones_are_rejected() {
        let (key, other) = (EdgeKey::generate().unwrap(), EdgeKey::generate().unwrap());
        let text = key.to_text();
        assert_eq!(EdgeKey::parse(&text).unwrap().public(), key.public());
        assert_eq!(PublicKey::parse(&key.public().to_text()).unwrap(), *key.public());
        let mixed = format!("{}\n{}\n", text.lines().next().unwrap(), other.public().to_text());
        assert!(matches!(EdgeKey::parse(&mixed), Err(SealingError::KeysDiffer)));
        for bad in ["", "x", &text[..20], &text[..50], &format!("{text}more\n")] {
            assert!(matches!(EdgeKey::parse(bad), Err(SealingError::KeyFile)), "{bad}");
        }
    }
}
