//! At most 256 KiB of bytes, proven to match the digest that names them.

use bytes::Bytes;

use crate::digest::Digest;

/// The most bytes a blob holds. Larger contents are lists of blobs, so that uploads resume, a range of a huge file costs only
/// its blobs, and memory per reader stays bounded.
pub const BLOB_MAX: usize = 256 * 1024;

/// Bytes and the digest they were checked against.
///
/// A proof type: the only ways to make one hash the bytes. What takes a `Blob` can send it to a reader.
#[derive(Clone, PartialEq, Eq)]
pub struct Blob {
    digest: Digest,
    bytes: Bytes,
}

/// Why bytes are not the blob they were said to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobError {
    /// They hash to something else.
    #[error("the bytes said to be blob {expected} hash to {actual}")]
    Mismatch {
        /// The digest they came under.
        expected: Digest,
        /// The digest they have.
        actual: Digest,
    },
    /// There are too many of them.
    #[error("a blob of {0} bytes: the limit is {BLOB_MAX}")]
    TooLarge(usize),
}

impl Blob {
    /// Names `bytes` by their digest.
    pub fn of(bytes: Bytes) -> Result<Self, BlobError> {
        if bytes.len() > BLOB_MAX {
            return Err(BlobError::TooLarge(bytes.len()));
        }
        Ok(Self { digest: Digest::of(&bytes), bytes })
    }

    /// Accepts `bytes` only if they hash to `expected`.
    pub fn verify(expected: Digest, bytes: Bytes) -> Result<Self, BlobError> {
        let blob = Self::of(bytes)?;
        if blob.digest == expected { Ok(blob) } else { Err(BlobError::Mismatch { expected, actual: blob.digest }) }
    }

    /// What names it.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The bytes, shared, not copied.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes, given away.
    pub fn into_bytes(self) -> Bytes {
        self.bytes
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
    fn a_flipped_byte_is_found() {
        let expected = Digest::of(b"verge");
        assert!(Blob::verify(expected, Bytes::from_static(b"verge")).is_ok());
        assert!(matches!(
            Blob::verify(expected, Bytes::from_static(b"Verge")),
            Err(BlobError::Mismatch { expected: e, .. }) if e == expected
        ));
    }

    #[test]
    fn a_byte_too_many_is_refused() {
        assert!(Blob::of(vec![0; BLOB_MAX].into()).is_ok());
        assert_eq!(Blob::of(vec![0; BLOB_MAX + 1].into()), Err(BlobError::TooLarge(BLOB_MAX + 1)));
    }
}
