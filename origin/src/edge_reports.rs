//! The edges, as their reports tell: soft state, in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use verge_protocol::report::{EdgeReport, LIVE_SECONDS};
use verge_protocol::{EdgeName, Timestamp};

/// What each edge said last.
pub(crate) struct EdgeReports {
    heard: Mutex<BTreeMap<EdgeName, LastReport>>,
    changed: watch::Sender<()>,
}

/// A report and when it came.
#[derive(Debug, Clone)]
pub(crate) struct LastReport {
    pub(crate) report: EdgeReport,
    pub(crate) at: Timestamp,
}

impl LastReport {
    /// Whether the edge counts as there: heard lately, and not about to end.
    pub(crate) fn live(&self, now: Timestamp) -> bool {
        !self.report.draining && self.at.age(now) <= Duration::from_secs(LIVE_SECONDS)
    }
}

impl Default for EdgeReports {
    fn default() -> Self {
        Self { heard: Mutex::default(), changed: watch::Sender::new(()) }
    }
}

impl EdgeReports {
    /// Takes a report.
    pub(crate) fn hear(&self, edge: EdgeName, report: EdgeReport, now: Timestamp) {
        self.lock().insert(edge, LastReport { report, at: now });
        self.changed.send_replace(());
    }

    /// Forgets an edge, until it reports again; whether it was known.
    pub(crate) fn forget(&self, edge: &EdgeName) -> bool {
        let known = self.lock().remove(edge).is_some();
        self.changed.send_replace(());
        known
    }

    /// What each edge said last.
    pub(crate) fn heard(&self) -> BTreeMap<EdgeName, LastReport> {
        self.lock().clone()
    }

    /// Wakes at every report.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<EdgeName, LastReport>> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
