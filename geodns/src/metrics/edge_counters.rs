//! Answers by edge.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use verge_protocol::EdgeName;

/// How often each edge came first in an answer. An edge keeps its counter for the lifetime of the process. Clones share the
/// counters.
#[derive(Clone, Default)]
pub(crate) struct EdgeCounters(Arc<Mutex<HashMap<EdgeName, Arc<AtomicU64>>>>);

impl EdgeCounters {
    /// The counter of an edge.
    pub(crate) fn of(&self, edge: &EdgeName) -> Arc<AtomicU64> {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(counters.entry(edge.clone()).or_default())
    }

    /// The counts, in the order of the edges' names.
    pub(super) fn counts(&self) -> Vec<(EdgeName, u64)> {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut counts: Vec<_> =
            counters.iter().map(|(edge, counter)| (edge.clone(), counter.load(Ordering::Relaxed))).collect();
        counts.sort();
        counts
    }
}
