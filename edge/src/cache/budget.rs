//! Memory for blobs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use verge_protocol::Blob;
use verge_protocol::blob::BLOB_MAX;

/// How often a blob that waits for memory looks for what can be dropped.
const LOOK: Duration = Duration::from_millis(50);

/// How often a reader that has to wait for its turn looks, at least, and so much longer for each such reader.
const LOOK_MIN: Duration = Duration::from_millis(10);
const LOOK_OF_EACH: Duration = Duration::from_micros(100);

/// After how many looks others have to give way: a second.
const PATIENCE: u32 = 20;

/// The bytes of all blobs in memory, and of copies of parts of them: those in the memory tier, those that are being read or fetched, and those that are on their way to
/// readers, each counted once however many readers it is on its way to. Who needs another waits until there is room.
pub(super) struct Budget {
    free: Arc<Semaphore>,
    /// With less than that it is short: half of what is for blobs on their way.
    ample: usize,
    /// Blobs that are to be read or fetched and have no room yet.
    wanted: Arc<AtomicU32>,
    /// Readers that wait for it to be ample.
    waiting: Arc<AtomicU32>,
    exhausted: Notify,
}

/// One of several that are counted, until it is dropped.
pub(super) struct Counted(Arc<AtomicU32>);

impl Counted {
    fn one_of(all: &Arc<AtomicU32>) -> Self {
        all.fetch_add(1, Relaxed);
        Self(Arc::clone(all))
    }

    /// How many there are.
    pub(super) fn all(&self) -> u32 {
        self.0.load(Relaxed)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Room for a blob.
pub(super) struct Room(OwnedSemaphorePermit);

impl Budget {
    /// For the memory tier, and for blobs on their way that are not in it. At least one blob has room.
    pub(super) fn new(memory_bytes: u64, in_flight_bytes: u64) -> Self {
        let bytes = memory_bytes.saturating_add(in_flight_bytes);
        let bytes = usize::try_from(bytes).unwrap_or(usize::MAX).clamp(BLOB_MAX, Semaphore::MAX_PERMITS);
        let ample = usize::try_from(in_flight_bytes / 2).unwrap_or(usize::MAX).min(bytes);
        Self {
            free: Arc::new(Semaphore::new(bytes)),
            ample,
            wanted: Arc::default(),
            waiting: Arc::default(),
            exhausted: Notify::new(),
        }
    }

    /// Counts a blob that is to be read or fetched.
    pub(super) fn want(&self) -> Counted {
        Counted::one_of(&self.wanted)
    }

    /// Waits while a reader has to. Meanwhile `make_room` is called again and again.
    ///
    /// Nobody queues: the future of a reader that takes nothing is not polled, and would keep those behind it.
    pub(super) async fn wait_while(&self, has_to: impl Fn() -> bool, make_room: impl Fn()) {
        let waiting = Counted::one_of(&self.waiting);
        let mut told_at = Instant::now();
        while has_to() {
            make_room();
            let look = LOOK_MIN.max(LOOK_OF_EACH * waiting.all());
            tokio::time::sleep(look.mul_f64(rand::random_range(0.5..1.5))).await;
            if told_at.elapsed() >= LOOK * PATIENCE {
                // It may be short only because much is to be fetched.
                if self.free.available_permits() < BLOB_MAX {
                    self.exhausted.notify_one();
                }
                told_at = Instant::now();
            }
        }
    }

    /// Whether little is left once all that is wanted is there.
    pub(super) fn is_short(&self) -> bool {
        let wanted = (self.wanted.load(Relaxed) as usize).saturating_mul(BLOB_MAX);
        self.free.available_permits() < self.ample.saturating_add(wanted)
    }

    /// Room for a blob of any size. While there is none, `make_room` is called again and again.
    pub(super) async fn room(&self, make_room: impl Fn()) -> Room {
        let bytes = u32::try_from(BLOB_MAX).unwrap_or(u32::MAX);
        if let Ok(room) = Arc::clone(&self.free).try_acquire_many_owned(bytes) {
            return Room(room);
        }
        let mut waiting = std::pin::pin!(Arc::clone(&self.free).acquire_many_owned(bytes));
        for looks in 1.. {
            make_room();
            if let Ok(room) = tokio::time::timeout(LOOK, waiting.as_mut()).await {
                return Room(room.expect("the semaphore is never closed"));
            }
            if looks % PATIENCE == 0 {
                self.exhausted.notify_one();
            }
        }
        unreachable!("a wait ends with room")
    }

    /// A copy of a part of a blob, if there is room for it now.
    pub(super) fn copy(&self, part: &[u8]) -> Option<Bytes> {
        let bytes = u32::try_from(part.len()).ok()?;
        let room = Arc::clone(&self.free).try_acquire_many_owned(bytes).ok()?;
        Some(Bytes::from_owner(Copied { bytes: part.into(), _room: room }))
    }

    /// Waits until somebody has waited for a second.
    pub(super) async fn exhausted(&self) {
        self.exhausted.notified().await;
    }

    /// Bytes that are not taken.
    #[cfg(test)]
    fn free(&self) -> usize {
        self.free.available_permits()
    }
}

/// A copy of a part of a blob, with its room.
struct Copied {
    bytes: Box<[u8]>,
    _room: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Copied {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Room {
    /// The blob with the room that it needs, until the last clone of its bytes is dropped. The rest is free at once.
    pub(super) fn hold(mut self, blob: Blob) -> Blob {
        match self.0.split(blob.bytes().len()) {
            Some(held) => blob.guarded_by(held),
            // It is not larger than a blob may be.
            None => blob,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn blob(byte: u8, length: usize) -> Blob {
        Blob::of(vec![byte; length].into()).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn blob_waits_until_the_last_clone_of_another_is_dropped() {
        let budget = Budget::new(0, 2 * BLOB_MAX as u64);
        let small = budget.room(|| {}).await.hold(blob(1, 1000));
        let large = budget.room(|| {}).await.hold(blob(2, BLOB_MAX));
        assert_eq!(budget.free(), BLOB_MAX - 1000);
        let part = large.bytes().slice(5..6);
        drop(large);
        let asked = std::cell::Cell::new(0);
        let room = budget.room(|| asked.set(asked.get() + 1));
        let exhausted = budget.exhausted();
        tokio::select! {
            biased;
            _ = room => panic!("there is no room"),
            () = exhausted => {}
        }
        assert!(asked.get() >= PATIENCE);
        drop(part);
        drop(budget.room(|| panic!("there is room")).await);
        drop(small);
        assert_eq!(budget.free(), 2 * BLOB_MAX);
    }

    #[tokio::test]
    async fn part_is_copied_while_there_is_room_for_the_copy() {
        let budget = Budget::new(1500, BLOB_MAX as u64);
        let blob = budget.room(|| {}).await.hold(blob(1, BLOB_MAX));
        let copy = budget.copy(&blob.bytes()[..1000]).unwrap();
        assert_eq!((&copy[..], budget.free()), (&[1; 1000][..], 500));
        assert!(budget.copy(&blob.bytes()[..1000]).is_none());
        drop((blob, copy));
        assert_eq!(budget.free(), BLOB_MAX + 1500);
    }

    /// Many may be asked for at one moment, when the memory is still free.
    #[tokio::test]
    async fn blobs_that_are_on_their_way_count() {
        let budget = Budget::new(0, 4 * BLOB_MAX as u64);
        let _first = budget.want();
        let _second = budget.want();
        assert!(!budget.is_short());
        let third = budget.want();
        assert!(budget.is_short());
        drop(third);
        assert!(!budget.is_short());
    }

    #[tokio::test(start_paused = true)]
    async fn wait_says_that_memory_is_exhausted_only_if_it_is() {
        let budget = Budget::new(0, 2 * BLOB_MAX as u64);
        let _one = budget.room(|| {}).await.hold(blob(1, BLOB_MAX));
        let mut waiting = std::pin::pin!(budget.wait_while(|| true, || {}));
        let minute = tokio::time::timeout(Duration::from_mins(1), async {
            tokio::select! {
                () = waiting.as_mut() => {}
                () = budget.exhausted() => {}
            }
        });
        minute.await.unwrap_err();
        let _two = budget.room(|| {}).await.hold(blob(2, BLOB_MAX));
        tokio::select! {
            () = waiting => panic!("it has to wait"),
            () = budget.exhausted() => {}
        }
    }

    #[tokio::test]
    async fn budget_smaller_than_a_blob_has_room_for_one() {
        let budget = Budget::new(0, 0);
        drop(budget.room(|| {}).await.hold(blob(1, BLOB_MAX)));
        assert_eq!(budget.free(), BLOB_MAX);
    }
}
