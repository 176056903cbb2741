//! What to drop from disk.

use verge_protocol::Timestamp;

use crate::table::Class;

/// Something that may be dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Candidate<K> {
    pub(super) key: K,
    /// In bytes.
    pub(super) size: u64,
    pub(super) last_used: Timestamp,
    /// What it is kept for.
    pub(super) class: Class,
}

/// What to drop so that of `used` bytes no more than `most` are left: the least important class first, in each what was not
/// used for longest. Drops all there is when that is not enough.
pub(super) fn victims<K: Ord + Copy>(mut candidates: Vec<Candidate<K>>, used: u64, most: u64) -> Vec<K> {
    candidates.sort_unstable_by_key(|candidate| (candidate.class, candidate.last_used, candidate.key));
    let mut left = used;
    candidates
        .into_iter()
        .take_while(|candidate| {
            let enough = left <= most;
            left = left.saturating_sub(candidate.size);
            !enough
        })
        .map(|candidate| candidate.key)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const CLASSES: [Class; 4] = [Class::Unreferenced, Class::Preview, Class::Inherited, Class::Live];

    fn candidate(key: usize, size: u64, last_used: u64, class: usize) -> Candidate<usize> {
        Candidate { key, size, last_used: Timestamp(last_used), class: CLASSES[class] }
    }

    #[test]
    fn the_least_important_and_oldest_goes_first() {
        let candidates = vec![
            candidate(0, 1, 1, 3),
            candidate(1, 1, 2, 2),
            candidate(2, 1, 3, 1),
            candidate(3, 1, 9, 0),
            candidate(4, 1, 8, 0),
        ];
        for (most, dropped) in [(5, &[][..]), (4, &[4]), (3, &[4, 3]), (1, &[4, 3, 2, 1]), (0, &[4, 3, 2, 1, 0])] {
            assert_eq!(victims(candidates.clone(), 5, most), dropped);
        }
    }

    proptest! {
        #[test]
        fn never_more_than_needed_nor_the_wrong_one(
            held in prop::collection::vec((0_u64..100, 0_u64..10, 0_usize..4), 0..20),
            most in 0_u64..1000,
        ) {
            let candidates: Vec<_> = held.iter().enumerate().map(|(key, (size, used, class))| candidate(key, *size, *used, *class)).collect();
            let used: u64 = held.iter().map(|(size, ..)| size).sum();
            let dropped = victims(candidates, used, most);
            let freed: u64 = dropped.iter().map(|key| held[*key].0).sum();
            prop_assert!(used - freed <= most);
            // Without the last victim it would not have been enough.
            if let Some(last) = dropped.last() {
                prop_assert!(used - (freed - held[*last].0) > most);
            }
            let worth = |key: usize| (held[key].2, held[key].1);
            for kept in (0..held.len()).filter(|key| !dropped.contains(key)) {
                prop_assert!(dropped.iter().all(|dropped| worth(*dropped) <= worth(kept)));
            }
        }
    }
}
