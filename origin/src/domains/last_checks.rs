//! What the last checks have found. It is kept in memory: a check is made soon after a start.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use verge_protocol::api::DomainFinding;
use verge_protocol::{DomainName, Timestamp};

/// The last check of each domain since the start. Clones share it.
#[derive(Clone, Default)]
pub(super) struct LastChecks(Arc<Mutex<BTreeMap<DomainName, LastCheck>>>);

#[derive(Debug, Clone)]
pub(super) struct LastCheck {
    pub(super) at: Timestamp,
    pub(super) findings: Vec<DomainFinding>,
}

impl LastChecks {
    pub(super) fn lock(&self) -> MutexGuard<'_, BTreeMap<DomainName, LastCheck>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
