//! SHA-256 digests, by which blobs and manifests are addressed.

use std::fmt;
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

use crate::serde_text::serde_as_text;

/// SHA-256 of a byte sequence, the only content hash in Verge: the address of blobs and manifests, and the `ETag` of responses.
///
/// Its text form, on the wire and on disk, is 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; Digest::LEN]);

impl Digest {
    /// Length in bytes.
    pub const LEN: usize = 32;

    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps 32 bytes that already are a digest.
    pub const fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; Self::LEN] {
        &self.0
    }

    /// The first 16 hex digits: too long to be guessed, short enough for a host name.
    pub fn prefix(&self) -> String {
        let mut text = self.to_string();
        text.truncate(16);
        text
    }
}

/// Computes a [`Digest`] incrementally.
#[derive(Default)]
pub struct Hasher(Sha256);

impl Hasher {
    /// Adds the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// The digest of all bytes added, in order.
    pub fn finish(self) -> Digest {
        Digest(self.0.finalize().into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        const HEX: &[u8; 16] = b"0123456789abcdef";
        let mut text = [0_u8; Self::LEN * 2];
        for (pair, byte) in text.chunks_exact_mut(2).zip(self.0) {
            pair[0] = HEX[usize::from(byte >> 4)];
            pair[1] = HEX[usize::from(byte & 0xf)];
        }
        formatter.write_str(std::str::from_utf8(&text).expect("hex digits are ASCII"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The text is not a digest.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest: expected 64 lowercase hex digits")]
pub struct DigestError;

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let nibble = |digit: u8| match digit {
            b'0'..=b'9' => Ok(digit - b'0'),
            b'a'..=b'f' => Ok(digit - b'a' + 10),
            _ => Err(DigestError),
        };
        let text = text.as_bytes();
        if text.len() != Self::LEN * 2 {
            return Err(DigestError);
        }
        let mut bytes = [0; Self::LEN];
        for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
            *byte = nibble(pair[0])? << 4 | nibble(pair[1])?;
        }
        Ok(Self(bytes))
    }
}

serde_as_text!(Digest);

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn digest_of_empty_input_matches_known_value() {
        assert_eq!(Digest::of(b"").to_string(), EMPTY);
        assert_eq!(EMPTY.parse(), Ok(Digest::of(b"")));
        assert_eq!(Digest::of(b"").prefix(), "e3b0c44298fc1c14");
    }

    #[test]
    fn incremental_digest_equals_digest_at_once() {
        let mut hasher = Hasher::default();
        hasher.update(b"ver");
        hasher.update(b"ge");
        assert_eq!(hasher.finish(), Digest::of(b"verge"));
    }

    #[test]
    fn only_64_lowercase_hex_digits_are_a_digest() {
        for text in ["", "e3b0", &EMPTY.to_uppercase(), &EMPTY[1..], &format!("{EMPTY}0"), &EMPTY.replace('e', "g")] {
            assert_eq!(text.parse::<Digest>(), Err(DigestError), "{text}");
        }
    }
}
