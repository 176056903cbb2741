//! Which blobs to fetch ahead of readers.

use verge_protocol::Digest;
use verge_protocol::api::BlobsRequest;

use crate::table::{Need, Needs};

/// The most bytes asked for at once: what a broken connection makes useless stays small, and others get their turn.
const BATCH_BYTES: u64 = 8 << 20;

/// The blobs to fetch, in batches, the most important first. Takes from the top what fits `room`, so that prefetching never
/// fetches what eviction would drop again.
pub(super) fn plan(needs: &Needs, room: u64, holds: impl Fn(&Digest) -> bool) -> Vec<Vec<Digest>> {
    let mut wanted: Vec<(Digest, Need)> = needs.iter().collect();
    wanted.sort_unstable_by_key(|(digest, need)| (std::cmp::Reverse(need.class), *digest));
    let mut left = room;
    let mut batches: Vec<Vec<Digest>> = Vec::new();
    let mut batch_bytes = 0;
    for (digest, need) in wanted {
        let Some(after) = left.checked_sub(need.size) else { break };
        left = after;
        if holds(&digest) {
            continue;
        }
        match batches.last_mut() {
            Some(batch) if batch.len() < BlobsRequest::MAX && batch_bytes + need.size <= BATCH_BYTES => {
                batch.push(digest);
            }
            _ => {
                batches.push(vec![digest]);
                batch_bytes = 0;
            }
        }
        batch_bytes += need.size;
    }
    batches
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use verge_protocol::{BLOB_MAX, Blob};

    use super::*;
    use crate::store::Object;
    use crate::table::Class;

    fn digest(number: u64) -> Digest {
        Digest::of(&number.to_be_bytes())
    }

    fn needs(classes: &[Class], size: u64) -> Needs {
        (0..).zip(classes).map(|(number, class)| (digest(number), Need { class: *class, size })).collect()
    }

    #[test]
    fn the_most_important_comes_first_and_what_is_held_not_at_all() {
        let needs = needs(&[Class::Preview, Class::Live, Class::Inherited, Class::Live], 10);
        let batches = plan(&needs, 100, |held| *held == digest(3));
        assert_eq!(batches, [[digest(1), digest(2), digest(0)]]);
    }

    #[test]
    fn no_more_is_fetched_than_will_be_kept() {
        let needs = needs(&[Class::Preview, Class::Live, Class::Inherited, Class::Live], 10);
        assert_eq!(plan(&needs, 29, |held| *held == digest(3)), [[digest(1)]]);
        assert_eq!(plan(&needs, 9, |_| false), Vec::<Vec<Digest>>::new());
    }

    #[test]
    fn what_is_planned_stays_beside_the_manifests() {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::test_support::store(folder.path(), 3200);
        // Larger than what an eviction leaves free.
        let manifest = [7; 500];
        store.follow([digest(99)].into());
        store.keep_manifest(digest(99), &manifest).unwrap();
        let blobs: Vec<Blob> = (0..40_u8).map(|number| Blob::of(vec![number; 100].into()).unwrap()).collect();
        let need = Need { class: Class::Live, size: 100 };
        let needs: Needs = blobs.iter().map(|blob| (blob.digest(), need)).collect();
        store.need(Arc::new(needs.clone()));
        let planned =
            || plan(&needs, store.room_for_blobs(), |digest| store.holds(Object::Blob(*digest))).into_iter().flatten();
        let first: Vec<Digest> = planned().collect();
        assert_eq!(first.len(), 26);
        for blob in blobs.iter().filter(|blob| first.contains(&blob.digest())) {
            store.keep_blob(blob).unwrap();
        }
        assert!(first.iter().all(|digest| store.holds(Object::Blob(*digest))));
        assert_eq!(planned().count(), 0);
    }

    #[test]
    fn batches_are_bounded_in_number_and_bytes() {
        let many = plan(&needs(&[Class::Live; 600], 1), 1 << 40, |_| false);
        assert_eq!(many.iter().map(Vec::len).collect::<Vec<_>>(), [256, 256, 88]);
        let large = plan(&needs(&[Class::Live; 40], BLOB_MAX as u64), 1 << 40, |_| false);
        assert_eq!(large.iter().map(Vec::len).collect::<Vec<_>>(), [32, 8]);
    }
}
