//! What is counted while following.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

use super::rows::{Notice, Rows};

/// What following counts. Clones share it.
#[derive(Debug, Clone, Default)]
pub(crate) struct FollowCounts {
    /// Rows whose values could not be read.
    pub(crate) refused_rows: Counter,
    /// Keys of kinds that this version does not know.
    pub(crate) unknown_keys: Gauge,
    /// Times that the state could not be saved.
    pub(crate) failed_saves: Counter,
}

impl FollowCounts {
    /// Counts and logs something that an operator should see.
    pub(super) fn note(&self, notice: Notice) {
        match notice {
            Notice::Unknown(key) => tracing::warn!(key, "a key of a kind that this version does not know: skipped"),
            Notice::Refused(key, reason) => {
                self.refused_rows.inc();
                tracing::error!(key, reason, "a row cannot be read: keeping what was there before");
            }
        }
    }

    /// Takes over how many keys are not known.
    pub(super) fn count_unknown(&self, rows: &Rows) {
        self.unknown_keys.set(i64::try_from(rows.unknown()).unwrap_or(i64::MAX));
    }
}
