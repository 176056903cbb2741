//! What readers get from one release while a canary runs: numbers only.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;
use verge_protocol::canary::ResponseCounts;

/// The counters of a release of one channel. Clones share them, and are equal if they do.
#[derive(Debug, Clone, Default)]
pub(crate) struct CanaryCounters(Arc<Counters>);

#[derive(Debug, Default)]
struct Counters {
    responses: AtomicU64,
    not_found: AtomicU64,
    server_errors: AtomicU64,
    missing_assets: AtomicU64,
}

impl CanaryCounters {
    /// Counts a response.
    pub(crate) fn count_response(&self, status: StatusCode) {
        self.0.responses.fetch_add(1, Ordering::Relaxed);
        if status == StatusCode::NOT_FOUND {
            self.0.not_found.fetch_add(1, Ordering::Relaxed);
        } else if status.is_server_error() {
            self.0.server_errors.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Counts a script or style that a page of the site has requested and that the release does not have. The response is counted
    /// besides.
    pub(crate) fn count_missing_asset(&self) {
        self.0.missing_assets.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> ResponseCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        ResponseCounts {
            responses: get(&self.0.responses),
            not_found: get(&self.0.not_found),
            server_errors: get(&self.0.server_errors),
            missing_assets: get(&self.0.missing_assets),
        }
    }
}

impl PartialEq for CanaryCounters {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for CanaryCounters {}
