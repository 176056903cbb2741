//! At most 256 KiB of bytes, proven to match the digest that names them.

use bytes::Bytes;

use crate::digest::Digest;

/// Maximum size of a blob, in bytes. Larger contents are lists of blobs, so that uploads resume, a range of a huge file costs only
/// its blobs, and memory per request stays bounded.
pub const BLOB_MAX: usize = 256 * 1024;

/// Bytes whose digest was verified.
///
/// A proof type: every constructor hashes the bytes, so a `Blob` can be sent to a reader without further checks.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    digest: Digest,
    bytes: Bytes,
}

/// Why bytes are not the expected blob.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// Their digest differs.
    #[error("blob {expected} is corrupt: its bytes hash to {actual}")]
    Mismatch {
        /// The digest that was expected.
        expected: Digest,
        /// The digest of the bytes.
        actual: Digest,
    },
    /// They exceed [`BLOB_MAX`].
    #[error("blob of {0} bytes exceeds the limit of {BLOB_MAX}")]
    TooLarge(usize),
}

impl Blob {
    /// Hashes `bytes`. Fails if they exceed [`BLOB_MAX`].
    pub fn of(bytes: Bytes) -> Result<Self, BlobError> {
        if bytes.len() > BLOB_MAX {
            return Err(BlobError::TooLarge(bytes.len()));
        }
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }

    /// Hashes `bytes` and fails unless the digest is `expected`.
    pub fn verify(expected: Digest, bytes: Bytes) -> Result<Self, BlobError> {
        let blob = Self::of(bytes)?;
        if blob.digest == expected { Ok(blob) } else { Err(BlobError::Mismatch { expected, actual: blob.digest }) }
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes, shared, not copied.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The same blob; `guard` is dropped with the last clone of its bytes.
    #[must_use]
    pub fn guarded_by(self, guard: impl Send + 'static) -> Self {
        Self { digest: self.digest, bytes: Bytes::from_owner(Guarded { bytes: self.bytes, _guard: guard }) }
    }

    /// The bytes, by value.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

struct Guarded<G> {
    bytes: Bytes,
    _guard: G,
}

impl<G> AsRef<[u8]> for Guarded<G> {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl std::fmt::Debug for Blob {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Blob({}, {} bytes)", self.digest, self.bytes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guard_is_dropped_with_the_last_clone_of_the_bytes() {
        let (guard, counted) =
            (std::sync::Arc::new(()), |guard: &std::sync::Arc<()>| std::sync::Arc::strong_count(guard));
        let blob = Blob::of(Bytes::from_static(b"abc")).unwrap();
        let guarded = blob.clone().guarded_by(std::sync::Arc::clone(&guard));
        assert_eq!(guarded, blob);
        let part = guarded.bytes().slice(1..2);
        drop(guarded);
        assert_eq!((counted(&guard), &*part), (2, &b"b"[..]));
        drop(part);
        assert_eq!(counted(&guard), 1);
    }

    #[test]
    fn verify_with_flipped_byte_fails() {
        let expected = Digest::of(b"verge");
        assert!(Blob::verify(expected, Bytes::from_static(b"verge")).is_ok());
        assert!(matches!(
            Blob::verify(expected, Bytes::from_static(b"Verge")),
            Err(BlobError::Mismatch { expected: e, .. }) if e == expected
        ));
    }

    #[test]
    fn blob_above_limit_is_rejected() {
        assert!(Blob::of(vec![0; BLOB_MAX].into()).is_ok());
        assert_eq!(Blob::of(vec![0; BLOB_MAX + 1].into()), Err(BlobError::TooLarge(BLOB_MAX + 1)));
    }
}
