//! Which blobs to prefetch, and in which requests.

use std::cmp::Reverse;

use verge_protocol::Digest;
use verge_protocol::api::BlobsRequest;

use crate::table::{ReferencedBlob, ReferencedBlobs};

/// Maximum bytes of blobs in one batch: it limits what a broken connection wastes.
const MAX_BATCH_BYTES: u64 = 8 << 20;

/// The blobs to prefetch, in batches, the most important first. Of all `referenced` blobs only the most important that fit into
/// `room` bytes are kept on disk, so that prefetching never fetches what eviction would delete again; of those, the ones not on
/// disk are fetched.
pub(super) fn prefetch_batches(
    referenced: &ReferencedBlobs,
    room: u64,
    is_on_disk: impl Fn(&Digest) -> bool,
) -> Vec<Vec<Digest>> {
    let mut blobs: Vec<(Digest, ReferencedBlob)> = referenced.iter().collect();
    blobs.sort_unstable_by_key(|(digest, blob)| (Reverse(blob.priority), *digest));
    let mut room_left = room;
    let mut batches: Vec<Vec<Digest>> = Vec::new();
    let mut batch_bytes = 0;
    for (digest, blob) in blobs {
        let Some(room_after) = room_left.checked_sub(blob.size) else { break };
        room_left = room_after;
        if is_on_disk(&digest) {
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
    batches
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use verge_protocol::{BLOB_MAX, Blob};

    use super::*;
    use crate::store::{BlockingStore, Object};
    use crate::table::Priority;

    fn digest(number: u64) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    fn referenced(priorities: &[Priority], size: u64) -> ReferencedBlobs {
        let blob =
            |(number, priority): (u64, &Priority)| (digest(number), ReferencedBlob { priority: *priority, size });
        (0..).zip(priorities).map(blob).collect()
    }

    #[test]
    fn blobs_not_on_disk_are_ordered_by_priority() {
        let blobs = referenced(&[Priority::Preview, Priority::Live, Priority::Inherited, Priority::Live], 10);
        let batches = prefetch_batches(&blobs, 100, |on_disk| *on_disk == digest(3));
        assert_eq!(batches, [[digest(1), digest(2), digest(0)]]);
    }

    #[test]
    fn blobs_beyond_the_room_are_not_prefetched() {
        let blobs = referenced(&[Priority::Preview, Priority::Live, Priority::Inherited, Priority::Live], 10);
        assert_eq!(prefetch_batches(&blobs, 29, |on_disk| *on_disk == digest(3)), [[digest(1)]]);
        assert_eq!(prefetch_batches(&blobs, 9, |_| false), Vec::<Vec<Digest>>::new());
    }

    #[test]
    fn prefetched_blobs_beside_pinned_manifests_are_not_evicted() {
        let directory = tempfile::tempdir().unwrap();
        let store = BlockingStore::open_for_test(directory.path(), 3200);
        // Larger than the margin that an eviction leaves free.
        let manifest = [7; 500];
        store.pin_manifests([digest(99)].into());
        store.put_manifest(digest(99), &manifest).unwrap();
        let blobs: Vec<Blob> = (0..40_u8).map(|number| Blob::of(vec![number; 100].into()).unwrap()).collect();
        let live = ReferencedBlob { priority: Priority::Live, size: 100 };
        let referenced: ReferencedBlobs = blobs.iter().map(|blob| (blob.digest(), live)).collect();
        store.set_referenced_blobs(Arc::new(referenced.clone()));
        let on_disk = |digest: &Digest| store.contains(Object::Blob(*digest));
        let planned = || prefetch_batches(&referenced, store.room_for_blobs(), on_disk).into_iter().flatten();
        let first: Vec<Digest> = planned().collect();
        assert_eq!(first.len(), 26);
        for blob in blobs.iter().filter(|blob| first.contains(&blob.digest())) {
            store.put_blob(blob).unwrap();
        }
        assert!(first.iter().all(on_disk));
        assert_eq!(planned().count(), 0);
    }

    #[test]
    fn batches_are_limited_in_blobs_and_bytes() {
        let many = prefetch_batches(&referenced(&[Priority::Live; 600], 1), 1 << 40, |_| false);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
        let large = prefetch_batches(&referenced(&[Priority::Live; 40], BLOB_MAX as u64), 1 << 40, |_| false);
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [32, 8]);
    }
}
