//! Which blobs to prefetch, and in which requests.

use std::cmp::Reverse;

use verge_protocol::Digest;
use verge_protocol::api::BlobsRequest;

use crate::store::Room;
use crate::table::{ReferencedBlob, ReferencedBlobs};

/// Maximum bytes of blobs in one batch: it limits what a broken connection wastes.
const MAX_BATCH_BYTES: u64 = 8 << 20;

/// What to prefetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrefetchPlan {
    /// The blobs to fetch, the most important first.
    pub(super) batches: Vec<Vec<Digest>>,
    /// The missing blobs for which there is no room.
    pub(super) left_out: Option<LeftOut>,
}

/// Blobs for which there is no room on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Their number.
    pub(super) blobs: usize,
    /// The room in which one of them would fit beside all that is planned.
    pub(super) sufficient_room: Room,
}

/// Plans which of the `referenced` blobs to fetch and store within `room`. Prefetching evicts blobs of lower priority and no others,
/// so a missing blob is fetched if it fits beside what is on disk with its priority or a higher one. Hence nothing is fetched
/// that cannot be stored, and prefetching and eviction do not undo each other.
pub(super) fn prefetch_plan(
    referenced: &ReferencedBlobs,
    room: Room,
    is_on_disk: impl Fn(&Digest) -> bool,
) -> PrefetchPlan {
    let blobs = referenced.iter().map(|(digest, blob)| (digest, blob, is_on_disk(&digest)));
    let mut blobs: Vec<(Digest, ReferencedBlob, bool)> = blobs.collect();
    blobs.sort_unstable_by_key(|(digest, blob, is_on_disk)| (Reverse(blob.priority), !is_on_disk, *digest));
    let mut room_left = room;
    let mut batches: Vec<Vec<Digest>> = Vec::new();
    let mut batch_bytes = 0;
    let mut left_out: Option<LeftOut> = None;
    for (digest, blob, is_on_disk) in blobs {
        if is_on_disk {
            room_left.take_stored(blob.size);
            continue;
        }
        if let Err(lacking) = room_left.take(blob.size) {
            let sufficient = room.grown_by(lacking);
            let before = left_out.unwrap_or(LeftOut { blobs: 0, sufficient_room: sufficient });
            let sufficient_room = before.sufficient_room.min(sufficient);
            left_out = Some(LeftOut { blobs: before.blobs + 1, sufficient_room });
            continue;
        }
        match batches.last_mut() {
            Some(batch) if batch.len() < BlobsRequest::MAX && batch_bytes + blob.size <= MAX_BATCH_BYTES => {
                batch.push(digest);
            }
            _ => {
                batches.push(vec![digest]);
                batch_bytes = 0;
            }
        }
        batch_bytes += blob.size;
    }
    PrefetchPlan { batches, left_out }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::sync::Arc;

    use proptest::prelude::*;
    use verge_protocol::{BLOB_MAX, Blob};

    use super::*;
    use crate::store::{BlockingStore, Object, Put};
    use crate::table::Priority;

    fn digest(number: u64) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    fn referenced(priorities: &[Priority], size: u64) -> ReferencedBlobs {
        let blob =
            |(number, priority): (u64, &Priority)| (digest(number), ReferencedBlob { priority: *priority, size });
        (0..).zip(priorities).map(blob).collect()
    }

    fn batches(referenced: &ReferencedBlobs, room: u64, is_on_disk: impl Fn(&Digest) -> bool) -> Vec<Vec<Digest>> {
        prefetch_plan(referenced, Room::of(room), is_on_disk).batches
    }

    #[test]
    fn blobs_not_on_disk_are_ordered_by_priority() {
        let blobs = referenced(&[Priority::Preview, Priority::Live, Priority::Inherited, Priority::Live], 10);
        assert_eq!(batches(&blobs, 100, |on_disk| *on_disk == digest(3)), [[digest(1), digest(2), digest(0)]]);
    }

    #[test]
    fn blobs_beyond_the_room_are_left_out() {
        let blobs = referenced(&[Priority::Preview, Priority::Live, Priority::Inherited, Priority::Live], 10);
        let plan = |room| prefetch_plan(&blobs, Room::of(room), |on_disk| *on_disk == digest(3));
        let left_out = |blobs, sufficient| Some(LeftOut { blobs, sufficient_room: Room::of(sufficient) });
        assert_eq!(plan(40), PrefetchPlan { batches: vec![vec![digest(1), digest(2), digest(0)]], left_out: None });
        assert_eq!(plan(29), PrefetchPlan { batches: vec![vec![digest(1)]], left_out: left_out(2, 30) });
        assert_eq!(plan(9), PrefetchPlan { batches: vec![], left_out: left_out(3, 19) });
    }

    #[test]
    fn blobs_on_disk_precede_missing_ones_of_the_same_priority() {
        let blobs = referenced(&[Priority::Live; 3], 10);
        for on_disk in 0..3 {
            assert_eq!(
                batches(&blobs, 10, |digest_on_disk| *digest_on_disk == digest(on_disk)),
                Vec::<Vec<Digest>>::new()
            );
        }
    }

    #[test]
    fn small_blob_is_not_left_out_for_a_large_one() {
        let large = (digest(0), ReferencedBlob { priority: Priority::Live, size: 20 });
        let small = (digest(1), ReferencedBlob { priority: Priority::Preview, size: 5 });
        assert_eq!(batches(&[large, small].into_iter().collect(), 10, |_| false), [[digest(1)]]);
    }

    #[test]
    fn prefetched_blobs_beside_pinned_manifests_are_not_evicted() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 3200);
        let manifest = [7; 500];
        store.pin_manifests([digest(99)].into());
        assert_eq!(store.put_manifest(digest(99), &manifest).unwrap(), Put::Stored);
        let blobs: Vec<Blob> = (0..40_u8).map(|number| Blob::of(vec![number; 100].into()).unwrap()).collect();
        let live = ReferencedBlob { priority: Priority::Live, size: 100 };
        let referenced: ReferencedBlobs = blobs.iter().map(|blob| (blob.digest(), live)).collect();
        store.set_referenced_blobs(Arc::new(referenced.clone()));
        let on_disk = |digest: &Digest| store.contains(Object::Blob(*digest));
        let planned = || prefetch_plan(&referenced, store.room_for_blobs(), on_disk).batches.into_iter().flatten();
        let first: Vec<Digest> = planned().collect();
        assert_eq!(first.len(), 27);
        for blob in blobs.iter().filter(|blob| first.contains(&blob.digest())) {
            assert_eq!(store.put_prefetched_blob(blob).unwrap(), Put::Stored);
        }
        assert!(first.iter().all(on_disk));
        assert_eq!(planned().count(), 0);
        // A reader asks for another: it replaces one, and prefetching does not fetch that one again.
        let other = blobs.iter().find(|blob| !first.contains(&blob.digest())).unwrap();
        assert_eq!(store.put_prefetched_blob(other).unwrap(), Put::NoRoom);
        store.advance_clock();
        assert_eq!(store.put_blob(other).unwrap(), Put::Stored);
        assert_eq!(first.iter().filter(|digest| on_disk(digest)).count(), 26);
        assert_eq!(planned().count(), 0);
    }

    proptest! {
        // Each case writes files.
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Blobs of all priorities, some on disk. Live ones on disk stay there.
        #[test]
        fn planned_blobs_are_stored_and_never_fetched_twice(
            blobs in prop::collection::vec((0_usize..4, 1_usize..40, any::<bool>()), 1..24),
            budget in 0_u64..400,
        ) {
            const PRIORITIES: [Priority; 4] = [Priority::Unreferenced, Priority::Preview, Priority::Inherited, Priority::Live];
            let directory = tempfile::tempdir().unwrap();
            let store = BlockingStore::open_for_test(directory.path(), budget);
            let made: Vec<(Priority, Blob, bool)> = (0_u8..).zip(&blobs)
                .map(|(number, (priority, size, is_stored))| {
                    let mut bytes = vec![number; *size];
                    bytes.push(0);
                    (PRIORITIES[*priority], Blob::of(bytes.into()).unwrap(), *is_stored)
                })
                .collect();
            let referenced: ReferencedBlobs = made.iter()
                .filter(|(priority, ..)| *priority != Priority::Unreferenced)
                .map(|(priority, blob, _)| (blob.digest(), ReferencedBlob { priority: *priority, size: blob.bytes().len() as u64 }))
                .collect();
            for (_, blob, _) in made.iter().filter(|(.., is_stored)| *is_stored) {
                let _ = store.put_blob(blob).unwrap();
            }
            store.set_referenced_blobs(Arc::new(referenced.clone()));
            let on_disk = |digest: &Digest| store.contains(Object::Blob(*digest));
            let live_before: Vec<Digest> = made.iter().filter(|(priority, ..)| *priority == Priority::Live)
                .map(|(_, blob, _)| blob.digest()).filter(on_disk).collect();
            // An eviction frees whole files, so a small blob may fit afterwards: another round, but no blob is fetched twice.
            let mut fetched = HashSet::new();
            loop {
                let plan = prefetch_plan(&referenced, store.room_for_blobs(), on_disk);
                for digest in plan.batches.iter().flatten() {
                    let (_, blob, _) = made.iter().find(|(_, blob, _)| blob.digest() == *digest).unwrap();
                    prop_assert!(fetched.insert(*digest));
                    prop_assert_eq!(store.put_prefetched_blob(blob).unwrap(), Put::Stored);
                }
                prop_assert!(plan.batches.iter().flatten().chain(&live_before).all(on_disk));
                prop_assert!(store.used_bytes() <= budget);
                if plan.batches.is_empty() {
                    break;
                }
            }
        }
    }

    #[test]
    fn batches_are_limited_in_blobs_and_bytes() {
        let many = batches(&referenced(&[Priority::Live; 600], 1), 1 << 40, |_| false);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
        let large = batches(&referenced(&[Priority::Live; 40], BLOB_MAX as u64), 1 << 40, |_| false);
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [32, 8]);
    }
}
