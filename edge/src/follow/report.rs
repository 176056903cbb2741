//! The task that reports to the origin what this edge serves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use verge_daemon::{Backoff, error_chain};
use verge_protocol::report::{EdgeReport, ORPHANS_MAX, REPORT_SECONDS};

use crate::status::AppliedState;
use crate::upstream::Upstream;

/// Timeout of the last report, so that shutdown does not wait for an unreachable origin.
const FINAL_REPORT_TIMEOUT: Duration = Duration::from_secs(1);

/// Reports after each change, on each reconnection, every [`REPORT_SECONDS`], and once more when `draining` is cancelled.
pub(super) async fn run(
    upstream: Upstream,
    url: Option<String>,
    mut applied: watch::Receiver<AppliedState>,
    reconnected: Arc<Notify>,
    draining: CancellationToken,
) {
    let reporting = report_until_closed(&upstream, url.as_deref(), &mut applied, &reconnected);
    // It also ends when the apply task has drained first.
    let _ = draining.run_until_cancelled(reporting).await;
    let report = report(&applied.borrow(), url.as_deref(), true);
    if let Some(report) = report {
        // An origin that does not get it notices that reports stop.
        let _ = tokio::time::timeout(FINAL_REPORT_TIMEOUT, upstream.report(&report)).await;
    }
}

/// The report to send; `None` before the first snapshot is complete.
fn report(applied: &AppliedState, url: Option<&str>, draining: bool) -> Option<EdgeReport> {
    Some(EdgeReport {
        url: url.map(str::to_owned),
        applied: applied.position?,
        lagging: applied.lagging.clone(),
        draining,
        orphans: applied.orphans.iter().take(ORPHANS_MAX).cloned().collect(),
        not_saving: applied.not_saving.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

async fn report_until_closed(
    upstream: &Upstream,
    url: Option<&str>,
    applied: &mut watch::Receiver<AppliedState>,
    reconnected: &Notify,
) {
    let mut backoff = Backoff::default();
    loop {
        let interval = Duration::from_secs(REPORT_SECONDS);
        let mut wait = interval;
        let report = report(&applied.borrow_and_update(), url, false);
        if let Some(report) = report {
            match upstream.report(&report).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "failed to report to the origin: retrying");
                    wait = backoff.failed(rand::random()).min(interval);
                }
            }
        }
        tokio::select! {
            changed = applied.changed() => if changed.is_err() { return },
            () = reconnected.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
