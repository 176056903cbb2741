//! How many descriptions of builds are in memory at once.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Descriptions that are unpacked at once: each takes its plain size, and what is made of it.
const UNPACKED_MAX: usize = 2;

/// The unit in which compressed bytes are counted.
const UNIT_BYTES: usize = 1024;

/// Bounds the memory of descriptions, whatever the number of requests: the others wait. Clones share it.
#[derive(Clone)]
pub(crate) struct DescriptionSlots {
    compressed: Arc<Semaphore>,
    compressed_units: usize,
    unpacked: Arc<Semaphore>,
}

/// A part of the memory, until dropped.
pub(crate) struct Slot(#[expect(dead_code, reason = "held")] OwnedSemaphorePermit);

impl DescriptionSlots {
    /// Has room for `compressed_bytes` of descriptions that have been received and are not stored yet.
    pub(crate) fn new(compressed_bytes: usize) -> Self {
        let compressed_units = compressed_bytes.div_ceil(UNIT_BYTES);
        Self {
            compressed: Arc::new(Semaphore::new(compressed_units)),
            compressed_units,
            unpacked: Arc::new(Semaphore::new(UNPACKED_MAX)),
        }
    }

    /// Waits for room for a compressed description. One that is larger than all there is waits for all of it.
    pub(crate) async fn compressed(&self, bytes: usize) -> Slot {
        let units = bytes.div_ceil(UNIT_BYTES).min(self.compressed_units);
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        Slot(Arc::clone(&self.compressed).acquire_many_owned(units).await.expect("the semaphore is never closed"))
    }

    /// Waits until a description may be unpacked.
    pub(crate) async fn unpacked(&self) -> Slot {
        Slot(Arc::clone(&self.unpacked).acquire_owned().await.expect("the semaphore is never closed"))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn descriptions_beyond_the_bounds_wait() {
        let slots = DescriptionSlots::new(10 * UNIT_BYTES);
        let small = slots.compressed(1).now_or_never().unwrap();
        let large = slots.compressed(9 * UNIT_BYTES).now_or_never().unwrap();
        assert!(slots.compressed(1).now_or_never().is_none());
        drop(small);
        assert!(slots.compressed(1).now_or_never().is_some());
        drop(large);
        assert!(slots.compressed(100 * UNIT_BYTES).now_or_never().is_some());

        let two = (slots.unpacked().now_or_never().unwrap(), slots.unpacked().now_or_never().unwrap());
        assert!(slots.unpacked().now_or_never().is_none());
        drop(two);
        assert!(slots.unpacked().now_or_never().is_some());
    }
}
