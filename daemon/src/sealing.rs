//! Secrets on their way to an edge: sealed by the origin to the edge's public key, opened by the edge (HPKE, RFC 9180, base mode).

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rustls::crypto::aws_lc_rs::hpke::DH_KEM_X25519_HKDF_SHA256_AES_256 as HPKE;
use rustls::crypto::hpke::{EncapsulatedSecret, Hpke as _, HpkePrivateKey, HpkePublicKey};
use verge_protocol::api::SealedSecret;
use verge_protocol::{Digest, EdgeName};

/// Says what is sealed, so that a ciphertext made for another purpose is not opened.
const INFO: &[u8] = b"verge secret";
/// The length of public and private keys of X25519, in bytes.
const KEY_LEN: usize = 32;

/// An edge's key pair. The private key never leaves the edge.
pub struct EdgeKey {
    public: HpkePublicKey,
    private: HpkePrivateKey,
}

/// The text is not that of a key pair: it is damaged, or something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed edge key: expected a key pair that `verge-edge` has made")]
pub struct EdgeKeyError;

/// The text is not a public key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("malformed public key: expected {KEY_LEN} bytes in base64")]
pub struct PublicKeyError;

/// The secret was sealed to another key, edge or name, or was changed on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret cannot be opened: it is damaged, or sealed to another edge or key")]
pub struct OpenError;

impl EdgeKey {
    /// A new key pair.
    pub fn generate() -> Self {
        let (public, private) = HPKE.generate_key_pair().expect("the system has random bytes");
        Self { public, private }
    }

    /// Parses what [`Self::to_text`] returned. A key that does not open what is sealed to its public half is malformed.
    pub fn from_text(text: &str) -> Result<Self, EdgeKeyError> {
        let bytes = BASE64.decode(text.trim()).map_err(|_| EdgeKeyError)?;
        let (public, private) = bytes.split_at_checked(KEY_LEN).ok_or(EdgeKeyError)?;
        let (public, private) = (HpkePublicKey(public.to_vec()), HpkePrivateKey::from(private.to_vec()));
        let (encapsulated, ciphertext) = HPKE.seal(INFO, &[], &[], &public).map_err(|_| EdgeKeyError)?;
        HPKE.open(&encapsulated, INFO, &[], &ciphertext, &private).map_err(|_| EdgeKeyError)?;
        Ok(Self { public, private })
    }

    /// The key pair as a line of text, for a file that only the edge can read.
    pub fn to_text(&self) -> String {
        let pair = [self.public.0.as_slice(), self.private.secret_bytes()].concat();
        format!("{}\n", BASE64.encode(pair))
    }

    /// The public key, in base64.
    pub fn public(&self) -> String {
        BASE64.encode(&self.public.0)
    }

    /// Opens the secret `name`, sealed to this key for the edge `edge`.
    pub fn open(&self, edge: &EdgeName, name: Digest, sealed: &SealedSecret) -> Result<Vec<u8>, OpenError> {
        let decode = |text: &str| BASE64.decode(text).map_err(|_| OpenError);
        let encapsulated = EncapsulatedSecret(decode(&sealed.encapsulated_key)?);
        let ciphertext = decode(&sealed.ciphertext)?;
        HPKE.open(&encapsulated, INFO, &associated_data(edge, name), &ciphertext, &self.private).map_err(|_| OpenError)
    }
}

/// Without the private key.
impl fmt::Debug for EdgeKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EdgeKey").field("public", &self.public()).finish_non_exhaustive()
    }
}

/// Checks that secrets can be sealed to a public key, which is in base64.
pub fn check_public_key(public_key: &str) -> Result<(), PublicKeyError> {
    seal_to(public_key, &[], &[]).map(drop)
}

/// Seals the secret `name` to the public key of an edge, which is in base64.
pub fn seal(public_key: &str, edge: &EdgeName, name: Digest, secret: &[u8]) -> Result<SealedSecret, PublicKeyError> {
    seal_to(public_key, &associated_data(edge, name), secret)
}

fn seal_to(public_key: &str, associated_data: &[u8], secret: &[u8]) -> Result<SealedSecret, PublicKeyError> {
    let public = BASE64.decode(public_key).map_err(|_| PublicKeyError)?;
    // The length is checked here: the library's error for a short key is that for a failed encryption.
    if public.len() != KEY_LEN {
        return Err(PublicKeyError);
    }
    let (encapsulated, ciphertext) =
        HPKE.seal(INFO, associated_data, secret, &HpkePublicKey(public)).map_err(|_| PublicKeyError)?;
    Ok(SealedSecret { encapsulated_key: BASE64.encode(encapsulated.0), ciphertext: BASE64.encode(ciphertext) })
}

fn associated_data(edge: &EdgeName, name: Digest) -> Vec<u8> {
    format!("{name} {edge}").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &[u8] = b"a private key";

    fn edge(name: &str) -> EdgeName {
        name.parse().unwrap()
    }

    #[test]
    fn secret_is_opened_by_the_edge_it_was_sealed_to_only() {
        let (key, name, edge_1) = (EdgeKey::generate(), Digest::of(SECRET), edge("fra-1"));
        let sealed = seal(&key.public(), &edge_1, name, SECRET).unwrap();
        assert_eq!(key.open(&edge_1, name, &sealed).unwrap(), SECRET);
        assert_eq!(EdgeKey::generate().open(&edge_1, name, &sealed), Err(OpenError));
        assert_eq!(key.open(&edge("fra-2"), name, &sealed), Err(OpenError));
        assert_eq!(key.open(&edge_1, Digest::of(b"other"), &sealed), Err(OpenError));
    }

    #[test]
    fn changed_ciphertext_is_not_opened() {
        let (key, name, edge) = (EdgeKey::generate(), Digest::of(SECRET), edge("fra-1"));
        let sealed = seal(&key.public(), &edge, name, SECRET).unwrap();
        let mut bytes = BASE64.decode(&sealed.ciphertext).unwrap();
        bytes[0] ^= 1;
        for ciphertext in [BASE64.encode(bytes), String::new(), "?".to_owned()] {
            assert_eq!(key.open(&edge, name, &SealedSecret { ciphertext, ..sealed.clone() }), Err(OpenError));
        }
        for encapsulated_key in [String::new(), key.public()] {
            assert_eq!(key.open(&edge, name, &SealedSecret { encapsulated_key, ..sealed.clone() }), Err(OpenError));
        }
    }

    #[test]
    fn key_survives_its_text_form_and_damage_is_noticed() {
        let key = EdgeKey::generate();
        let text = key.to_text();
        assert_eq!(EdgeKey::from_text(&text).unwrap().public(), key.public());
        let mut bytes = BASE64.decode(text.trim()).unwrap();
        for at in 0..bytes.len() {
            // Not the lowest three bits of a private key, nor its highest two, which X25519 sets itself (RFC 7748 §5).
            bytes[at] ^= 0x10;
            assert_eq!(EdgeKey::from_text(&BASE64.encode(&bytes)).unwrap_err(), EdgeKeyError, "{at}");
            bytes[at] ^= 0x10;
        }
        for malformed in ["", "x", &text[..40]] {
            assert_eq!(EdgeKey::from_text(malformed).unwrap_err(), EdgeKeyError);
        }
    }

    #[test]
    fn malformed_public_key_is_rejected() {
        assert_eq!(check_public_key(&EdgeKey::generate().public()), Ok(()));
        for malformed in ["", "?", "AAAA"] {
            assert_eq!(seal(malformed, &edge("fra-1"), Digest::of(SECRET), SECRET), Err(PublicKeyError));
            assert_eq!(check_public_key(malformed), Err(PublicKeyError));
        }
    }

    #[test]
    fn debug_omits_the_private_key() {
        let key = EdgeKey::generate();
        let private = BASE64.encode(key.private.secret_bytes());
        assert!(!format!("{key:?}").contains(&private));
    }
}
