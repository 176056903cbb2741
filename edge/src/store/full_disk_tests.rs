//! The store on a file system that is full: every write, with every amount of free space.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use verge_daemon::Clock;
use verge_daemon::feed::{RowRecord, StoredRow};
use verge_protocol::state::Row;
use verge_protocol::{Blob, Digest, Generation, Seq, Timestamp};
use verge_test_kit::on_small_disk;

use super::{BlockingStore, Object, Put, StateRecord};
use crate::metrics::Metrics;
use crate::table::{Priority, ReferencedBlob, ReferencedBlobs};
use verge_daemon::disk_space::DiskSpace;

const BLOCK: usize = 4096;
const BLOB_BLOCKS: usize = 3;
const MANIFEST_BLOCKS: usize = 2;
const STATE_BLOCKS: u64 = 6;

/// A data directory on a small file system, and a file of another program that fills it.
struct SmallDisk {
    data: PathBuf,
    filler: PathBuf,
}

impl SmallDisk {
    fn new(root: &Path) -> Self {
        Self { data: root.join("data"), filler: root.join("filler") }
    }

    fn open(&self) -> BlockingStore {
        let metrics = Metrics::new(&mut prometheus_client::registry::Registry::default());
        BlockingStore::open(&self.data, 10 << 30, Clock::manual(Timestamp(1)), metrics).unwrap()
    }

    fn available(&self) -> u64 {
        DiskSpace::of(&self.data).unwrap().available
    }

    /// Leaves as many blocks.
    fn fill(&self, blocks: u64) {
        let bytes = self.available() - blocks * BLOCK as u64;
        std::fs::write(&self.filler, vec![1; usize::try_from(bytes).unwrap()]).unwrap();
        assert_eq!(self.available(), blocks * BLOCK as u64);
    }

    fn make_room(&self) {
        std::fs::remove_file(&self.filler).unwrap();
    }

    fn clear(&self) {
        std::fs::remove_dir_all(&self.data).unwrap();
    }
}

fn blob(number: u8) -> Blob {
    Blob::of(vec![number; BLOB_BLOCKS * BLOCK].into()).unwrap()
}

fn manifest(number: u8) -> (Digest, Vec<u8>) {
    let bytes = vec![number; MANIFEST_BLOCKS * BLOCK];
    (Digest::of(&bytes), bytes)
}

fn referenced(numbers: impl IntoIterator<Item = u8>) -> Arc<ReferencedBlobs> {
    let live = ReferencedBlob::new(Priority::Live, (BLOB_BLOCKS * BLOCK) as u64);
    Arc::new(numbers.into_iter().map(|number| (blob(number).digest(), live)).collect())
}

fn save_state(store: &BlockingStore, seq: u64) -> std::io::Result<()> {
    let value = serde_json::json!("x".repeat(5 * BLOCK));
    let row = Row { key: "future/key".to_owned(), seq: Seq(seq), value: Some(value.into()) };
    let row = StoredRow { generation: Generation(1), row };
    store.save_state([StateRecord::Feed(RowRecord::Row(&row))].into_iter())
}

fn saved_seq(store: &BlockingStore) -> Option<u64> {
    match store.load_state().records.first()? {
        StateRecord::Feed(RowRecord::Row(stored)) => Some(stored.row.seq.0),
        other => panic!("{other:?}"),
    }
}

fn held(store: &BlockingStore, numbers: impl IntoIterator<Item = u8>) -> HashSet<u8> {
    numbers.into_iter().filter(|number| store.contains(Object::Blob(blob(*number).digest()))).collect()
}

/// Stores release 1 (blobs 1 to 4 and manifest 1), and blobs 101 and 102, which no release references.
fn prepare(store: &BlockingStore) {
    store.pin_manifests([manifest(1).0].into());
    assert_eq!(store.put_manifest(manifest(1).0, &manifest(1).1).unwrap(), Put::Stored);
    store.set_referenced_blobs(referenced(1..5));
    for number in [1, 2, 3, 4, 101, 102] {
        assert_eq!(store.put_prefetched_blob(&blob(number)).unwrap(), Put::Stored);
    }
    save_state(store, 1).unwrap();
}

#[test]
fn full_disk_with_any_free_space_takes_a_release_and_loses_nothing() {
    on_small_disk(
        "store::full_disk_tests::full_disk_with_any_free_space_takes_a_release_and_loses_nothing",
        1 << 20,
        |root| {
            let disk = SmallDisk::new(root);
            for free in 0..40 {
                let store = disk.open();
                prepare(&store);
                disk.fill(free);

                // Release 2 has blobs 3 to 7.
                store.pin_manifests([manifest(1).0, manifest(2).0].into());
                assert_eq!(store.put_manifest(manifest(2).0, &manifest(2).1).unwrap(), Put::Stored, "{free}");
                assert_eq!(held(&store, 1..5).len(), 4, "no live blob is evicted while others are there ({free})");
                store.set_referenced_blobs(referenced(3..8));
                save_state(&store, 2).unwrap();
                assert_eq!(saved_seq(&store), Some(2));
                assert_eq!(held(&store, 3..5).len(), 2, "{free}");
                for number in 5..8 {
                    let before = held(&store, 3..8);
                    let outcome = store.put_prefetched_blob(&blob(number)).unwrap();
                    let after = held(&store, 3..8);
                    assert!(before.is_subset(&after), "{free}");
                    assert_eq!(after.contains(&number), outcome == Put::Stored);
                    // It is refused only if no unreferenced blob is left to evict.
                    assert!(outcome == Put::Stored || held(&store, [1, 2, 101, 102]).is_empty(), "{free}");
                }
                assert_eq!(store.write_failure(), None);
                let survivors = held(&store, 3..8);
                drop(store);

                let store = disk.open();
                assert_eq!((saved_seq(&store), held(&store, 3..8)), (Some(2), survivors), "{free}");
                assert!(store.contains(Object::Manifest(manifest(2).0)));
                store.pin_manifests([manifest(2).0].into());
                store.set_referenced_blobs(referenced(3..8));
                disk.make_room();
                for number in 3..8 {
                    assert_eq!(store.put_prefetched_blob(&blob(number)).unwrap(), Put::Stored);
                }
                assert!((3..8).all(|number| store.blob(blob(number).digest()).is_some()));
                drop(store);
                disk.clear();
            }
        },
    );
}

#[test]
fn state_on_a_full_disk_costs_as_few_live_blobs_as_possible() {
    on_small_disk(
        "store::full_disk_tests::state_on_a_full_disk_costs_as_few_live_blobs_as_possible",
        1 << 20,
        |root| {
            let disk = SmallDisk::new(root);
            for free in 0..10 {
                let store = disk.open();
                prepare(&store);
                store.set_referenced_blobs(referenced([1, 2, 3, 4, 101, 102]));
                disk.fill(free);
                save_state(&store, 2).unwrap();
                assert_eq!(saved_seq(&store), Some(2));
                let lost = u64::try_from(6 - held(&store, [1, 2, 3, 4, 101, 102]).len()).unwrap();
                // The state, and blocks for its directory and the parent.
                let most = if free >= STATE_BLOCKS { 0 } else { (STATE_BLOCKS + 2).div_ceil(BLOB_BLOCKS as u64) };
                assert!(lost <= most, "{lost} blobs for {STATE_BLOCKS} blocks with {free} free");
                assert_eq!(store.lost_blobs(), lost);
                drop(store);
                disk.make_room();
                disk.clear();
            }
        },
    );
}

#[test]
fn store_without_blobs_on_a_full_disk_fails_until_there_is_room() {
    on_small_disk(
        "store::full_disk_tests::store_without_blobs_on_a_full_disk_fails_until_there_is_room",
        1 << 20,
        |root| {
            let disk = SmallDisk::new(root);
            let store = disk.open();
            save_state(&store, 1).unwrap();
            disk.fill(1);
            assert!(save_state(&store, 2).is_err());
            assert_eq!(saved_seq(&store), Some(1));
            assert!(store.write_failure().unwrap().starts_with("No space left on device"));
            assert_eq!(store.put_prefetched_blob(&blob(1)).unwrap(), Put::NoRoom);
            assert!(!store.can_write(1));
            drop(store);
            // It starts on a disk without a free block.
            std::fs::write(disk.data.join("temporary/last block"), [1]).unwrap();
            assert_eq!(disk.available(), 0);
            let store = disk.open();
            assert_eq!(saved_seq(&store), Some(1));
            disk.make_room();
            assert!(store.can_write(1));
            save_state(&store, 3).unwrap();
            assert_eq!((saved_seq(&store), store.write_failure()), (Some(3), None));
        },
    );
}

#[test]
fn concurrent_writes_to_a_full_disk_keep_the_index_true() {
    let name = "store::full_disk_tests::concurrent_writes_to_a_full_disk_keep_the_index_true";
    on_small_disk(name, 1 << 20, |root| {
        let disk = SmallDisk::new(root);
        let store = disk.open();
        prepare(&store);
        store.set_referenced_blobs(referenced(1..50));
        disk.fill(20);
        std::thread::scope(|scope| {
            for writer in 0..4 {
                let store = &store;
                scope.spawn(move || {
                    for number in (10 * writer..10 * writer + 60).map(|number| number % 100 + 1) {
                        // The last are referenced by no release.
                        let blob = blob(number);
                        let put =
                            if number % 2 == 0 { store.put_blob(&blob) } else { store.put_prefetched_blob(&blob) };
                        let _ = put.unwrap();
                    }
                });
            }
            scope.spawn(|| (2..20).for_each(|seq| save_state(&store, seq).unwrap()));
        });
        assert_eq!((saved_seq(&store), store.write_failure()), (Some(19), None));
        let indexed = held(&store, 1..=102);
        let used = store.used_bytes();
        drop(store);
        let store = disk.open();
        assert_eq!((held(&store, 1..=102), store.used_bytes()), (indexed, used));
        assert_eq!(std::fs::read_dir(disk.data.join("temporary")).unwrap().count(), 0);
    });
}
