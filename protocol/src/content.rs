//! A byte sequence of any length, described by its digest and cut into blobs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::blob::{BLOB_MAX, Blob};
use crate::digest::{Digest, Hasher};

/// [`BLOB_MAX`] in the unit of sizes.
const BLOB_SIZE: u64 = BLOB_MAX as u64;

/// Describes a byte sequence: its digest, its size, and the blobs that make it up in order.
///
/// Every blob but the last is exactly [`BLOB_MAX`] bytes long, so a blob's size and offset follow from its place. Bytes that
/// fit one blob *are* that blob, and the list is left out; no bytes need no blob.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Raw")]
pub struct Content {
    digest: Digest,
    size: u64,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    blobs: Vec<Digest>,
}

#[derive(Deserialize)]
struct Raw {
    digest: Digest,
    size: u64,
    #[serde(default)]
    blobs: Vec<Digest>,
}

/// A description that contradicts itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content {digest} of {size} bytes names {named} blobs: {expected} expected")]
pub struct ContentError {
    digest: Digest,
    size: u64,
    named: usize,
    expected: u64,
}

impl TryFrom<Raw> for Content {
    type Error = ContentError;

    fn try_from(raw: Raw) -> Result<Self, ContentError> {
        let Raw { digest, size, blobs } = raw;
        let expected = if size <= BLOB_SIZE { 0 } else { size.div_ceil(BLOB_SIZE) };
        if u64::try_from(blobs.len()) == Ok(expected) {
            Ok(Self { digest, size, blobs })
        } else {
            Err(ContentError { digest, size, named: blobs.len(), expected })
        }
    }
}

/// One blob of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// What names the blob.
    pub digest: Digest,
    /// The whole blob's size, in bytes.
    pub size: u64,
    /// How many of its first bytes the wanted span leaves out.
    pub skip: u64,
    /// How many bytes of it the wanted span takes.
    pub take: u64,
}

impl Content {
    /// Describes `bytes`, and cuts them into blobs without copying.
    pub fn cut(bytes: &Bytes) -> (Self, Vec<Blob>) {
        let mut cutter = Cutter::default();
        let blobs: Vec<Blob> = (0..bytes.len())
            .step_by(BLOB_MAX)
            .map(|start| cutter.push(bytes.slice(start..bytes.len().min(start + BLOB_MAX))))
            .collect();
        (cutter.finish(), blobs)
    }

    /// The digest of the whole.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The size of the whole, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Every blob, in order.
    pub fn pieces(&self) -> impl Iterator<Item = Piece> + '_ {
        self.span(0, self.size)
    }

    /// The blobs that hold the bytes from `start` up to, not including, `end`, in order. An empty span has none; `end` past
    /// the last byte is cut back.
    pub fn span(&self, start: u64, end: u64) -> impl Iterator<Item = Piece> + '_ {
        let end = end.min(self.size);
        let places = if start < end { start / BLOB_SIZE..end.div_ceil(BLOB_SIZE) } else { 0..0 };
        places.map(move |place| {
            let offset = place * BLOB_SIZE;
            let size = (self.size - offset).min(BLOB_SIZE);
            let skip = start.saturating_sub(offset);
            Piece { digest: self.blob_at(place), size, skip, take: (end - offset).min(size) - skip }
        })
    }

    fn blob_at(&self, place: u64) -> Digest {
        let place = usize::try_from(place).expect("a list in memory is indexed by usize");
        self.blobs.get(place).copied().unwrap_or(self.digest)
    }
}

/// Describes bytes that come a blob at a time, so that a huge file is never in memory.
#[derive(Default)]
pub struct Cutter {
    hasher: Hasher,
    size: u64,
    blobs: Vec<Digest>,
}

impl Cutter {
    /// Takes the next [`BLOB_MAX`] bytes; only the last call may pass fewer. Returns them named.
    ///
    /// # Panics
    /// When `bytes` are more than a blob holds: cutting is the caller's one task.
    pub fn push(&mut self, bytes: Bytes) -> Blob {
        debug_assert_eq!(self.size % BLOB_SIZE, 0, "only the last blob may be short");
        self.hasher.update(&bytes);
        self.size += bytes.len() as u64;
        let blob = Blob::of(bytes).expect("the caller cuts at BLOB_MAX");
        self.blobs.push(blob.digest());
        blob
    }

    /// The description of all that was pushed.
    pub fn finish(self) -> Content {
        let blobs = if self.size <= BLOB_SIZE { Vec::new() } else { self.blobs };
        Content { digest: self.hasher.finish(), size: self.size, blobs }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn content(size: usize) -> (Content, Vec<Blob>) {
        let bytes: Vec<u8> = (0..size).map(|at| u8::try_from(at % 251).expect("below 251")).collect();
        Content::cut(&bytes.into())
    }

    #[test]
    fn small_bytes_are_their_own_blob() {
        let (content, blobs) = content(5);
        assert_eq!(blobs[0].digest(), content.digest());
        assert_eq!(serde_json::to_value(&content).unwrap().get("blobs"), None);
    }

    #[test]
    fn no_bytes_need_no_blob() {
        let (content, blobs) = content(0);
        assert!(blobs.is_empty());
        assert_eq!(content.pieces().count(), 0);
    }

    #[test]
    fn a_list_that_does_not_fit_the_size_is_refused() {
        let digest = Digest::of(b"");
        for (size, named) in [(5, 1), (BLOB_SIZE, 1), (BLOB_SIZE + 1, 1), (BLOB_SIZE + 1, 3), (u64::MAX, 0)] {
            let json = serde_json::json!({ "digest": digest, "size": size, "blobs": vec![digest; named] });
            assert!(serde_json::from_value::<Content>(json).is_err(), "{size} bytes in {named} blobs");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Gluing the taken parts together gives the same bytes as slicing the whole.
        #[test]
        fn a_span_is_a_slice(size in 0..3 * BLOB_MAX + 2, start in 0..4 * BLOB_MAX, length in 0..4 * BLOB_MAX) {
            let (content, blobs) = content(size);
            let whole: Vec<u8> = blobs.iter().flat_map(|blob| blob.bytes().to_vec()).collect();
            let glued: Vec<u8> = content
                .span(start as u64, (start + length) as u64)
                .flat_map(|piece| {
                    let blob = blobs.iter().find(|blob| blob.digest() == piece.digest).expect("named blobs exist");
                    assert_eq!(blob.bytes().len() as u64, piece.size);
                    let skip = usize::try_from(piece.skip).unwrap();
                    blob.bytes()[skip..skip + usize::try_from(piece.take).unwrap()].to_vec()
                })
                .collect();
            prop_assert_eq!(&glued, &whole[start.min(size)..(start + length).min(size)]);
            let json = serde_json::to_string(&content).unwrap();
            prop_assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        }
    }
}
