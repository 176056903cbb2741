//! The memory tier.

use moka::sync::Cache;
use verge_protocol::{Blob, Digest};

/// What an entry costs beside its bytes: key, hash table, access lists.
const OVERHEAD: u32 = 200;

/// Blobs by digest, weighed in bytes. What is asked for often stays longest (`TinyLFU`).
///
/// moka drops in batches, so it may be over its bound for a moment.
pub(super) struct Memory(Cache<Digest, Blob>);

impl Memory {
    pub(super) fn new(bytes: u64) -> Self {
        let weigh =
            |_: &Digest, blob: &Blob| u32::try_from(blob.bytes().len()).unwrap_or(u32::MAX).saturating_add(OVERHEAD);
        Self(Cache::builder().max_capacity(bytes).weigher(weigh).build())
    }

    pub(super) fn get(&self, digest: &Digest) -> Option<Blob> {
        self.0.get(digest)
    }

    pub(super) fn insert(&self, blob: Blob) {
        self.0.insert(blob.digest(), blob);
    }

    /// Bytes of all blobs, with what they cost beside.
    pub(super) fn bytes(&self) -> u64 {
        self.0.weighted_size()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_in_bytes() {
        let memory = Memory::new(100_000);
        for at in 0..100_u8 {
            memory.insert(Blob::of(vec![at; 10_000].into()).unwrap());
        }
        memory.0.run_pending_tasks();
        assert!(memory.bytes() <= 100_000, "{}", memory.bytes());
        assert!(memory.0.entry_count() > 0);
    }
}
