//! Which blobs to prefetch, and in which requests.

use std::cmp::Reverse;
use std::collections::{HashSet, VecDeque};

use verge_protocol::Digest;
use verge_protocol::api::BlobsRequest;

use crate::store::Room;
use crate::table::{ReferencedBlob, ReferencedBlobs, Urgency};

/// Maximum bytes of blobs in one batch. A batch that is in flight when something as urgent becomes wanted is finished first.
const MAX_BATCH_BYTES: u64 = 2 << 20;

/// What to prefetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct PrefetchPlan {
    /// The blobs to fetch.
    pub(super) queue: PrefetchQueue,
    /// The missing blobs for which there is no room.
    pub(super) left_out: HashSet<Digest>,
    /// The room in which one of these would fit beside all that is planned.
    pub(super) sufficient_room: Option<Room>,
}

/// Blobs to fetch, the most urgent first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct PrefetchQueue(VecDeque<(Digest, ReferencedBlob)>);

/// Plans which of the `referenced` blobs to fetch and store within `room`. Prefetching evicts blobs of lower priority and no others,
/// so a missing blob is fetched if it fits beside what is on disk with its priority or a higher one. Hence nothing is fetched
/// that cannot be stored, and prefetching and eviction do not undo each other. All that is planned fits, so the order of fetching is free:
/// what is urgent comes first.
pub(super) fn prefetch_plan(
    referenced: &ReferencedBlobs,
    room: Room,
    is_on_disk: impl Fn(&Digest) -> bool,
) -> PrefetchPlan {
    let blobs = referenced.iter().map(|(digest, blob)| (digest, blob, is_on_disk(&digest)));
    let mut blobs: Vec<(Digest, ReferencedBlob, bool)> = blobs.collect();
    let turn = |digest: &Digest, blob: &ReferencedBlob| (Reverse(blob.urgency), blob.rank, *digest);
    blobs.sort_unstable_by_key(|(digest, blob, is_on_disk)| (Reverse(blob.priority), !is_on_disk, turn(digest, blob)));
    let mut room_left = room;
    let mut queue = Vec::new();
    let (mut left_out, mut sufficient_room) = (HashSet::new(), None);
    for (digest, blob, is_on_disk) in blobs {
        if is_on_disk {
            room_left.take_stored(blob.size);
        } else if let Err(lacking) = room_left.take(blob.size) {
            let sufficient = room.grown_by(lacking);
            sufficient_room = Some(sufficient_room.map_or(sufficient, |before: Room| before.min(sufficient)));
            left_out.insert(digest);
        } else {
            queue.push((digest, blob));
        }
    }
    queue.sort_unstable_by_key(|(digest, blob)| turn(digest, blob));
    PrefetchPlan { queue: PrefetchQueue(queue.into()), left_out, sufficient_room }
}

impl PrefetchQueue {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The urgency of the most urgent blob.
    pub(super) fn urgency(&self) -> Option<Urgency> {
        self.0.front().map(|(_, blob)| blob.urgency)
    }

    /// Removes the blobs that need not be fetched.
    pub(super) fn remove(&mut self, is_unneeded: impl Fn(&Digest) -> bool) {
        self.0.retain(|(digest, _)| !is_unneeded(digest));
    }

    /// Takes the next blobs of one urgency, as many as fit into one request.
    pub(super) fn next_batch(&mut self) -> Vec<Digest> {
        let (urgency, mut bytes, mut batch) = (self.urgency(), 0, Vec::new());
        while let Some((digest, blob)) = self.0.front() {
            bytes += blob.size;
            let is_full = batch.len() == BlobsRequest::MAX || bytes > MAX_BATCH_BYTES;
            if Some(blob.urgency) != urgency || (is_full && !batch.is_empty()) {
                break;
            }
            batch.push(*digest);
            self.0.pop_front();
        }
        batch
    }
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
        let blob = |(number, priority): (u64, &Priority)| (digest(number), ReferencedBlob::new(*priority, size));
        (0..).zip(priorities).map(blob).collect()
    }

    fn batches(referenced: &ReferencedBlobs, room: u64, is_on_disk: impl Fn(&Digest) -> bool) -> Vec<Vec<Digest>> {
        all_batches(prefetch_plan(referenced, Room::of(room), is_on_disk))
    }

    fn all_batches(plan: PrefetchPlan) -> Vec<Vec<Digest>> {
        let mut queue = plan.queue;
        std::iter::from_fn(|| Some(queue.next_batch()).filter(|batch| !batch.is_empty())).collect()
    }

    #[test]
    fn blobs_not_on_disk_are_ordered_by_priority() {
        let priorities = [Priority::Preview, Priority::Live, Priority::Inherited, Priority::Live, Priority::Coming];
        let blobs = referenced(&priorities, 10);
        let expected = [1, 4, 2, 0].map(|number| [digest(number)]);
        assert_eq!(batches(&blobs, 100, |on_disk| *on_disk == digest(3)), expected);
    }

    #[test]
    fn blobs_that_a_rollout_waits_for_are_fetched_first_and_live_ones_get_the_room_first() {
        let mut preparing = ReferencedBlob::new(Priority::Preview, 10);
        preparing.urgency.is_preparing = true;
        let live = ReferencedBlob::new(Priority::Live, 10);
        let blobs = [(digest(0), live), (digest(1), preparing)].into_iter().collect();
        assert_eq!(batches(&blobs, 20, |_| false), [[digest(1)], [digest(0)]]);
        assert_eq!(batches(&blobs, 10, |_| false), [[digest(0)]]);
    }

    #[test]
    fn blobs_of_a_priority_are_ordered_by_rank() {
        let blob =
            |number, rank| (digest(number), ReferencedBlob { rank, ..ReferencedBlob::new(Priority::Coming, 10) });
        let blobs = [blob(0, 2), blob(1, 0), blob(2, 1)].into_iter().collect();
        assert_eq!(batches(&blobs, 100, |_| false), [[digest(1), digest(2), digest(0)]]);
    }

    #[test]
    fn blobs_beyond_the_room_are_left_out() {
        let blobs = referenced(&[Priority::Preview, Priority::Live, Priority::Inherited, Priority::Live], 10);
        let plan = |room| prefetch_plan(&blobs, Room::of(room), |on_disk| *on_disk == digest(3));
        for (room, planned, left_out, sufficient) in [
            (40, vec![1, 2, 0], vec![], None),
            (29, vec![1], vec![0, 2], Some(30)),
            (9, vec![], vec![0, 1, 2], Some(19)),
        ] {
            let plan = plan(room);
            assert_eq!(plan.left_out, left_out.into_iter().map(digest).collect());
            assert_eq!(plan.sufficient_room, sufficient.map(Room::of));
            assert_eq!(all_batches(plan).concat(), planned.into_iter().map(digest).collect::<Vec<_>>());
        }
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
        let large = (digest(0), ReferencedBlob::new(Priority::Live, 20));
        let small = (digest(1), ReferencedBlob::new(Priority::Preview, 5));
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
        let live = ReferencedBlob::new(Priority::Live, 100);
        let referenced: ReferencedBlobs = blobs.iter().map(|blob| (blob.digest(), live)).collect();
        store.set_referenced_blobs(Arc::new(referenced.clone()));
        let on_disk = |digest: &Digest| store.contains(Object::Blob(*digest));
        let planned = || all_batches(prefetch_plan(&referenced, store.room_for_blobs(), on_disk)).into_iter().flatten();
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
            blobs in prop::collection::vec((0_usize..5, any::<bool>(), 1_usize..40, any::<bool>()), 1..24),
            budget in 0_u64..400,
        ) {
            const PRIORITIES: [Priority; 5] =
                [Priority::Unreferenced, Priority::Preview, Priority::Inherited, Priority::Coming, Priority::Live];
            let directory = tempfile::tempdir().unwrap();
            let store = BlockingStore::open_for_test(directory.path(), budget);
            let made: Vec<(Urgency, Blob, bool)> = (0_u8..).zip(&blobs)
                .map(|(number, (priority, is_preparing, size, is_stored))| {
                    let mut bytes = vec![number; *size];
                    bytes.push(0);
                    let urgency = Urgency { is_preparing: *is_preparing, priority: PRIORITIES[*priority] };
                    (urgency, Blob::of(bytes.into()).unwrap(), *is_stored)
                })
                .collect();
            let referenced: ReferencedBlobs = made.iter()
                .filter(|(urgency, ..)| urgency.priority != Priority::Unreferenced)
                .map(|(urgency, blob, _)| {
                    let size = blob.bytes().len() as u64;
                    (blob.digest(), ReferencedBlob { urgency: *urgency, ..ReferencedBlob::new(urgency.priority, size) })
                })
                .collect();
            for (_, blob, _) in made.iter().filter(|(.., is_stored)| *is_stored) {
                let _ = store.put_blob(blob).unwrap();
            }
            store.set_referenced_blobs(Arc::new(referenced.clone()));
            let on_disk = |digest: &Digest| store.contains(Object::Blob(*digest));
            let live_before: Vec<Digest> = made.iter().filter(|(urgency, ..)| urgency.priority == Priority::Live)
                .map(|(_, blob, _)| blob.digest()).filter(on_disk).collect();
            // An eviction frees whole files, so a small blob may fit afterwards: another round, but no blob is fetched twice.
            let mut fetched = HashSet::new();
            loop {
                let batches = all_batches(prefetch_plan(&referenced, store.room_for_blobs(), on_disk));
                for digest in batches.iter().flatten() {
                    let (_, blob, _) = made.iter().find(|(_, blob, _)| blob.digest() == *digest).unwrap();
                    prop_assert!(fetched.insert(*digest));
                    prop_assert_eq!(store.put_prefetched_blob(blob).unwrap(), Put::Stored);
                }
                prop_assert!(batches.iter().flatten().chain(&live_before).all(on_disk));
                prop_assert!(store.used_bytes() <= budget);
                if batches.is_empty() {
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
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [8; 5]);
    }
}
