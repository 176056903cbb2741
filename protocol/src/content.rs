//! Describes a byte sequence of any length by its digest and its blobs.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::blob::{BLOB_MAX, Blob};
use crate::digest::{Digest, Hasher};

/// [`BLOB_MAX`] as `u64`.
const BLOB_SIZE: u64 = BLOB_MAX as u64;

/// Describes a byte sequence: its digest, its size, and the blobs that make it up in order.
///
/// Every blob but the last is exactly [`BLOB_MAX`] bytes long, so a blob's size and offset follow from its index. Bytes that
/// fit into one blob *are* that blob, and the list is omitted; an empty content has no blob.
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

/// The number of blobs does not match the size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("content {digest} of {size} bytes lists {listed} blobs: expected {expected}")]
pub struct ContentError {
    digest: Digest,
    size: u64,
    listed: usize,
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
            Err(ContentError { digest, size, listed: blobs.len(), expected })
        }
    }
}

/// One blob of a content, and the part of it that a byte range needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobSlice {
    /// The blob's digest.
    pub digest: Digest,
    /// The whole blob's size, in bytes.
    pub size: u64,
    /// Bytes at its start that lie before the range.
    pub skip: u64,
    /// Bytes of it that lie within the range.
    pub take: u64,
}

impl Content {
    /// Splits `bytes` into blobs without copying, and describes them.
    pub fn cut(bytes: &Bytes) -> (Self, Vec<Blob>) {
        let mut cutter = Cutter::default();
        let blobs: Vec<Blob> = (0..bytes.len())
            .step_by(BLOB_MAX)
            .map(|start| cutter.push(bytes.slice(start..bytes.len().min(start + BLOB_MAX))))
            .collect();
        (cutter.finish(), blobs)
    }

    /// The digest of all bytes.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The size, in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Every blob, in order.
    pub fn slices(&self) -> impl Iterator<Item = BlobSlice> + '_ {
        self.range(0, self.size)
    }

    /// The blobs that hold the bytes from `start` to `end` (exclusive), in order. An empty range has none; an `end` past the last
    /// byte is clamped.
    pub fn range(&self, start: u64, end: u64) -> impl Iterator<Item = BlobSlice> + '_ {
        let end = end.min(self.size);
        let indices = if start < end { start / BLOB_SIZE..end.div_ceil(BLOB_SIZE) } else { 0..0 };
        indices.map(move |index| {
            let offset = index * BLOB_SIZE;
            let size = (self.size - offset).min(BLOB_SIZE);
            let skip = start.saturating_sub(offset);
            BlobSlice { digest: self.blob_at(index), size, skip, take: (end - offset).min(size) - skip }
        })
    }

    fn blob_at(&self, index: u64) -> Digest {
        let index = usize::try_from(index).expect("a list in memory is indexed by usize");
        self.blobs.get(index).copied().unwrap_or(self.digest)
    }
}

/// Describes bytes that arrive one blob at a time, so that a huge file is never in memory as a whole.
#[derive(Default)]
pub struct Cutter {
    hasher: Hasher,
    size: u64,
    blobs: Vec<Digest>,
}

impl Cutter {
    /// Adds the next [`BLOB_MAX`] bytes and returns them as a blob; only the last call may pass fewer.
    ///
    /// # Panics
    /// If `bytes` exceed [`BLOB_MAX`].
    pub fn push(&mut self, bytes: Bytes) -> Blob {
        debug_assert_eq!(self.size % BLOB_SIZE, 0, "only the last blob may be short");
        self.hasher.update(&bytes);
        self.size += bytes.len() as u64;
        let blob = Blob::of(bytes).expect("the caller cuts at BLOB_MAX");
        self.blobs.push(blob.digest());
        blob
    }

    /// The description of all bytes pushed.
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
    fn content_up_to_blob_size_omits_blob_list() {
        let (content, blobs) = content(5);
        assert_eq!(blobs[0].digest(), content.digest());
        assert_eq!(serde_json::to_value(&content).unwrap().get("blobs"), None);
    }

    #[test]
    fn empty_content_has_no_blob() {
        let (content, blobs) = content(0);
        assert!(blobs.is_empty());
        assert_eq!(content.slices().count(), 0);
    }

    #[test]
    fn blob_list_not_matching_size_is_rejected() {
        let digest = Digest::of(b"");
        for (size, listed) in [(5, 1), (BLOB_SIZE, 1), (BLOB_SIZE + 1, 1), (BLOB_SIZE + 1, 3), (u64::MAX, 0)] {
            let json = serde_json::json!({ "digest": digest, "size": size, "blobs": vec![digest; listed] });
            assert!(serde_json::from_value::<Content>(json).is_err(), "{size} bytes in {listed} blobs");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Concatenating the pieces of a range gives the same bytes as slicing the whole.
        #[test]
        fn range_pieces_equal_slice(size in 0..3 * BLOB_MAX + 2, start in 0..4 * BLOB_MAX, length in 0..4 * BLOB_MAX) {
            let (content, blobs) = content(size);
            let whole: Vec<u8> = blobs.iter().flat_map(|blob| blob.bytes().to_vec()).collect();
            let joined: Vec<u8> = content
                .range(start as u64, (start + length) as u64)
                .flat_map(|slice| {
                    let blob = blobs.iter().find(|blob| blob.digest() == slice.digest).expect("listed blobs exist");
                    assert_eq!(blob.bytes().len() as u64, slice.size);
                    let skip = usize::try_from(slice.skip).unwrap();
                    blob.bytes()[skip..skip + usize::try_from(slice.take).unwrap()].to_vec()
                })
                .collect();
            prop_assert_eq!(&joined, &whole[start.min(size)..(start + length).min(size)]);
            let json = serde_json::to_string(&content).unwrap();
            prop_assert_eq!(serde_json::from_str::<Content>(&json).unwrap(), content);
        }
    }
}
