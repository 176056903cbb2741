//! The memory tier.

use std::hash::{BuildHasherDefault, Hasher};

use moka::sync::Cache;
use verge_protocol::{Blob, Digest};

/// Estimated memory per entry beside the blob: key, hash table, access lists. In bytes.
const ENTRY_OVERHEAD: u32 = 200;

/// Blobs by digest, bounded in bytes, evicted by `TinyLFU`.
///
/// moka evicts in batches, so the bound may be exceeded for a moment.
pub(super) struct Memory(Cache<Digest, Blob, BuildHasherDefault<DigestHasher>>);

/// The first bytes of a digest are a hash of it already.
#[derive(Default)]
struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk() {
            self.0 = u64::from_ne_bytes(*first);
        }
    }

    /// The length of the digest.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh = |_: &Digest, blob: &Blob| {
            u32::try_from(blob.bytes().len()).unwrap_or(u32::MAX).saturating_add(ENTRY_OVERHEAD)
        };
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build_with_hasher(BuildHasherDefault::default()))
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
