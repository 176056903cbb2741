//! Which files to evict from disk.

use verge_protocol::Timestamp;

use crate::table::Priority;

/// A file that may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EvictionCandidate<K> {
    pub(super) key: K,
    /// In bytes.
    pub(super) size: u64,
    pub(super) last_used: Timestamp,
    pub(super) priority: Priority,
}

/// The candidates to evict so that of `used` bytes at most `target` remain: the lowest priority first, within a priority the least
/// recently used. All of them if that is not enough.
pub(super) fn victims<K: Ord + Copy>(mut candidates: Vec<EvictionCandidate<K>>, used: u64, target: u64) -> Vec<K> {
    candidates.sort_unstable_by_key(|candidate| (candidate.priority, candidate.last_used, candidate.key));
    let mut remaining = used;
    candidates
        .into_iter()
        .take_while(|candidate| {
            let is_needed = remaining > target;
            remaining = remaining.saturating_sub(candidate.size);
            is_needed
        })
        .map(|candidate| candidate.key)
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIORITIES: [Priority; 4] = [Priority::Unreferenced, Priority::Preview, Priority::Inherited, Priority::Live];

    fn candidate(key: usize, size: u64, last_used: u64, priority: usize) -> EvictionCandidate<usize> {
        EvictionCandidate { key, size, last_used: Timestamp(last_used), priority: PRIORITIES[priority] }
    }

    #[test]
    fn victims_are_ordered_by_priority_then_last_use() {
        let candidates = vec![
            candidate(0, 1, 1, 3),
            candidate(1, 1, 2, 2),
            candidate(2, 1, 3, 1),
            candidate(3, 1, 9, 0),
            candidate(4, 1, 8, 0),
        ];
        for (target, evicted) in [(5, &[][..]), (4, &[4]), (3, &[4, 3]), (1, &[4, 3, 2, 1]), (0, &[4, 3, 2, 1, 0])] {
            assert_eq!(victims(candidates.clone(), 5, target), evicted);
        }
    }

    proptest! {
        #[test]
        fn victims_are_minimal_and_the_least_important(
            held in prop::collection::vec((0_u64..100, 0_u64..10, 0_usize..4), 0..20),
            target in 0_u64..1000,
        ) {
            let candidates: Vec<_> = held.iter().enumerate().map(|(key, (size, used, priority))| candidate(key, *size, *used, *priority)).collect();
            let used: u64 = held.iter().map(|(size, ..)| size).sum();
            let evicted = victims(candidates, used, target);
            let freed: u64 = evicted.iter().map(|key| held[*key].0).sum();
            prop_assert!(used - freed <= target);
            // Without the last victim it would not have been enough.
            if let Some(last) = evicted.last() {
                prop_assert!(used - (freed - held[*last].0) > target);
            }
            let importance = |key: usize| (held[key].2, held[key].1);
            for kept in (0..held.len()).filter(|key| !evicted.contains(key)) {
                prop_assert!(evicted.iter().all(|evicted| importance(*evicted) <= importance(kept)));
            }
        }
    }
}
