//! The memory tier.

use std::hash::{BuildHasher, Hasher};

use moka::sync::Cache;
use verge_protocol::{Blob, Digest};

/// Estimated memory per entry beside the blob: key, hash table, access lists. In bytes.
const ENTRY_OVERHEAD: u32 = 200;

/// Blobs by digest, bounded in bytes, evicted by `TinyLFU`.
///
/// moka evicts in batches, so the bound may be exceeded for a moment.
pub(super) struct Memory(Cache<Digest, Blob, DigestHashers>);

/// Makes hashes of digests, which are random already: whoever chooses contents must only not know which digests have the same hash.
#[derive(Clone)]
struct DigestHashers {
    /// Of this process.
    key: [u64; 2],
}

impl BuildHasher for DigestHashers {
    type Hasher = DigestHasher;

    fn build_hasher(&self) -> DigestHasher {
        DigestHasher { key: self.key, hash: 0 }
    }
}

/// The product of two parts of a digest, each changed by a part of the key.
struct DigestHasher {
    key: [u64; 2],
    hash: u64,
}

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        let mut parts = bytes.chunks_exact(8).map(|part| u64::from_ne_bytes(part.try_into().expect("eight bytes")));
        let mut factor = |key| u128::from(parts.next().unwrap_or_default() ^ key);
        let product = factor(self.key[0]) * factor(self.key[1]);
        #[expect(clippy::cast_possible_truncation, reason = "both halves are used")]
        let halves = (product as u64, (product >> 64) as u64);
        self.hash = halves.0 ^ halves.1;
    }

    /// The length of the digest.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |_: &Digest, blob: &Blob| {
            u32::try_from(blob.bytes().len()).unwrap_or(u32::MAX).saturating_add(ENTRY_OVERHEAD)
        };
        let hashers = DigestHashers { key: rand::random() };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build_with_hasher(hashers))
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Blob> {
        self.0.get(digest)
    }

    /// Whether it is there, without a use of it.
    pub(super) fn has(&self, digest: &Digest) -> bool {
        self.0.contains_key(digest)
    }

    pub(super) fn insert(&self, blob: Blob) {
        self.0.insert(blob.digest(), blob);
    }

    pub(super) fn remove(&self, digest: &Digest) {
        self.0.invalidate(digest);
    }

    /// Drops what is to be dropped. Of that, what was in use a moment ago may need another call.
    pub(super) fn evict(&self) {
        self.0.run_pending_tasks();
    }

    /// Bytes of all blobs, overhead included.
    pub(super) fn bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hash_of_a_digest_depends_on_the_process() {
        let hash = |key, digest: Digest| DigestHashers { key }.hash_one(digest);
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        assert_ne!(hash([1, 2], one), hash([1, 2], other));
        assert_ne!(hash([1, 2], one), hash([3, 2], one));
        assert_ne!(hash([1, 2], one), hash([1, 3], one));
    }

    #[test]
    fn memory_beyond_its_bound_in_bytes_evicts() {
        let memory = Memory::new(100_000);
        for number in 0..100_u8 {
            memory.insert(Blob::of(vec![number; 10_000].into()).unwrap());
        }
        memory.0.run_pending_tasks();
        assert!(memory.bytes() <= 100_000, "{}", memory.bytes());
        assert!(memory.0.entry_count() > 0);
    }
}
