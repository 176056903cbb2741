//! Which files to evict from disk.

use verge_protocol::Timestamp;

use crate::table::Priority;

/// How important a file is: by priority, and within a priority by its last use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Importance {
    pub(super) priority: Priority,
    pub(super) last_used: Timestamp,
}

/// Which files may be evicted for one that is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Evictable {
    /// Those that are less important. To lose as much as is won would gain nothing.
    LessImportantThan(Importance),
    /// All: the edge cannot restart without what is to be written.
    All,
}

/// A file that may be evicted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EvictionCandidate<K> {
    pub(super) key: K,
    /// In bytes.
    pub(super) size: u64,
    pub(super) importance: Importance,
}

impl Importance {
    /// A file of this priority that no reader has requested.
    pub(super) fn never_used(priority: Priority) -> Self {
        Self { priority, last_used: Timestamp::default() }
    }
}

impl Evictable {
    pub(super) fn includes(self, importance: Importance) -> bool {
        match self {
            Self::LessImportantThan(bound) => importance < bound,
            Self::All => true,
        }
    }
}

/// The candidates to evict to free `needed` bytes, the least important first: no more than it takes, except that of what no release
/// references, `slack` bytes more are evicted, so that the next few writes need not evict. If all candidates are not enough:
/// all of them for `Evictable::All`, else none.
pub(super) fn victims<K: Ord + Copy>(
    mut candidates: Vec<EvictionCandidate<K>>,
    evictable: Evictable,
    needed: u64,
    slack: u64,
) -> Vec<EvictionCandidate<K>> {
    candidates.retain(|candidate| evictable.includes(candidate.importance));
    let total = candidates.iter().map(|candidate| candidate.size).fold(0, u64::saturating_add);
    if needed == 0 || total < needed && evictable != Evictable::All {
        return Vec::new();
    }
    candidates.sort_unstable_by_key(|candidate| (candidate.importance, candidate.key));
    let mut freed: u64 = 0;
    let is_needed = |candidate: &EvictionCandidate<K>| {
        let is_unreferenced = candidate.importance.priority == Priority::Unreferenced;
        let target = if is_unreferenced { needed.saturating_add(slack) } else { needed };
        let is_needed = freed < target;
        freed = freed.saturating_add(candidate.size);
        is_needed
    };
    candidates.into_iter().take_while(is_needed).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PRIORITIES: [Priority; 5] =
        [Priority::Unreferenced, Priority::Preview, Priority::Inherited, Priority::Coming, Priority::Live];

    fn importance(priority: usize, last_used: u64) -> Importance {
        Importance { priority: PRIORITIES[priority], last_used: Timestamp(last_used) }
    }

    fn candidate(key: usize, size: u64, last_used: u64, priority: usize) -> EvictionCandidate<usize> {
        EvictionCandidate { key, size, importance: importance(priority, last_used) }
    }

    fn keys(victims: Vec<EvictionCandidate<usize>>) -> Vec<usize> {
        victims.into_iter().map(|victim| victim.key).collect()
    }

    fn one_of_each() -> Vec<EvictionCandidate<usize>> {
        vec![
            candidate(0, 1, 1, 4),
            candidate(1, 1, 2, 3),
            candidate(2, 1, 3, 1),
            candidate(3, 1, 9, 0),
            candidate(4, 1, 8, 0),
        ]
    }

    #[test]
    fn victims_are_ordered_by_priority_then_last_use() {
        for (needed, evicted) in [(0, &[][..]), (1, &[4]), (2, &[4, 3]), (4, &[4, 3, 2, 1]), (5, &[4, 3, 2, 1, 0])] {
            assert_eq!(keys(victims(one_of_each(), Evictable::All, needed, 0)), evicted);
        }
    }

    #[test]
    fn slack_is_taken_from_unreferenced_files_only() {
        for (needed, slack, evicted) in [(1, 1, &[4, 3][..]), (1, 9, &[4, 3]), (0, 9, &[]), (3, 9, &[4, 3, 2])] {
            assert_eq!(keys(victims(one_of_each(), Evictable::All, needed, slack)), evicted);
        }
    }

    #[test]
    fn files_as_important_are_not_evicted() {
        let evicted = |bound, needed| keys(victims(one_of_each(), Evictable::LessImportantThan(bound), needed, 0));
        assert_eq!(evicted(Importance::never_used(Priority::Live), 4), [4, 3, 2, 1]);
        assert_eq!(evicted(importance(0, 9), 1), [4]);
        // What is not enough is not evicted either.
        assert!(evicted(Importance::never_used(Priority::Live), 5).is_empty());
        assert_eq!(keys(victims(one_of_each(), Evictable::All, 6, 0)), [4, 3, 2, 1, 0]);
    }

    proptest! {
        #[test]
        fn victims_are_minimal_and_the_least_important(
            held in prop::collection::vec((1_u64..100, 0_u64..10, 0_usize..5), 0..20),
            bound in prop::option::of((0_usize..5, 0_u64..10)),
            needed in 0_u64..1000,
            slack in 0_u64..100,
        ) {
            let candidates: Vec<_> = held.iter().enumerate().map(|(key, (size, used, priority))| candidate(key, *size, *used, *priority)).collect();
            let evictable = bound.map_or(Evictable::All, |(priority, used)| Evictable::LessImportantThan(importance(priority, used)));
            let may_go: u64 = candidates.iter().filter(|file| evictable.includes(file.importance)).map(|file| file.size).sum();
            let evicted = keys(victims(candidates.clone(), evictable, needed, slack));
            let freed: u64 = evicted.iter().map(|key| held[*key].0).sum();
            let enough = may_go >= needed;
            prop_assert!(freed >= needed || !enough);
            let freed_if_not_enough = if evictable == Evictable::All { may_go } else { 0 };
            prop_assert!(enough || freed == freed_if_not_enough);
            // Without the last victim it would not have been enough.
            if let Some(last) = evicted.last() {
                let slack = if held[*last].2 == 0 { slack } else { 0 };
                prop_assert!(freed - held[*last].0 < needed + slack);
            }
            for kept in (0..held.len()).filter(|key| !evicted.contains(key)) {
                prop_assert!(evicted.iter().all(|evicted| candidates[*evicted].importance <= candidates[kept].importance));
            }
            prop_assert!(evicted.iter().all(|key| evictable.includes(candidates[*key].importance)));
        }
    }
}
