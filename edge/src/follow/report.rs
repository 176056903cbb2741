//! The task that tells the origin what is served.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use verge_daemon::{Backoff, chain};
use verge_protocol::report::{REPORT_SECONDS, Report};

use crate::status::Applied;
use crate::upstream::Upstream;

/// How long the last report may take: nothing waits for an origin that is not there.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Tells the origin how far the edge is.
pub(super) struct Reporter {
    pub(super) upstream: Upstream,
    /// Where readers reach the edge.
    pub(super) url: Option<String>,
    /// Told each time a feed is open.
    pub(super) reconnected: Arc<Notify>,
    /// Cancelled when no more readers should come.
    pub(super) leaving: CancellationToken,
}

impl Reporter {
    /// Reports after each change of what is `saved`, at each reconnection, when the edge leaves, and every few seconds; and once
    /// more when `draining` begins.
    pub(super) async fn run(self, mut saved: watch::Receiver<Applied>, draining: CancellationToken) {
        // It ends by itself too, when those who save have drained first.
        let _ = draining.run_until_cancelled(self.report_on(&mut saved)).await;
        let farewell = self.report(&saved.borrow());
        if let Some(farewell) = farewell {
            // Whoever is not told finds out by the silence.
            let _ = tokio::time::timeout(FAREWELL_MAX, self.upstream.report(&farewell)).await;
        }
    }

    /// What there is to say; nothing before the first snapshot is complete.
    fn report(&self, applied: &Applied) -> Option<Report> {
        Some(Report {
            url: self.url.clone(),
            applied: applied.position?,
            lagging: applied.lagging.clone(),
            draining: self.leaving.is_cancelled(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
        })
    }

    async fn report_on(&self, saved: &mut watch::Receiver<Applied>) {
        let mut backoff = Backoff::default();
        loop {
            let next = Duration::from_secs(REPORT_SECONDS);
            let mut wait = next;
            let left = self.leaving.is_cancelled();
            let report = self.report(&saved.borrow_and_update());
            if let Some(report) = report {
                match self.upstream.report(&report).await {
                    Ok(()) => backoff.reset(),
                    Err(error) => {
                        tracing::warn!(error = %chain(&error), "no origin takes the report: trying again");
                        wait = backoff.failed(rand::random()).min(next);
                    }
                }
            }
            tokio::select! {
                changed = saved.changed() => if changed.is_err() { return },
                () = self.reconnected.notified() => {}
                () = self.leaving.cancelled(), if !left => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}
