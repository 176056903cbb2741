//! The task that tells the origin what is served.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio_util::sync::CancellationToken;
use verge_daemon::{Backoff, error_chain};
use verge_protocol::report::{EdgeReport, REPORT_SECONDS};

use crate::status::Applied;
use crate::upstream::Upstream;

/// How long the last report may take: nothing waits for an origin that is not there.
const FAREWELL_MAX: Duration = Duration::from_secs(1);

/// Reports after each change, at each reconnection, every few seconds, and once more when `draining` begins.
pub(super) async fn run(
    upstream: Upstream,
    url: Option<String>,
    mut saved: watch::Receiver<Applied>,
    reconnected: Arc<Notify>,
    draining: CancellationToken,
) {
    let reporting = report_on(&upstream, url.as_deref(), &mut saved, &reconnected);
    // It ends by itself too, when those who save have drained first.
    let _ = draining.run_until_cancelled(reporting).await;
    let farewell = report(&saved.borrow(), url.as_deref(), true);
    if let Some(farewell) = farewell {
        // Whoever is not told finds out by the silence.
        let _ = tokio::time::timeout(FAREWELL_MAX, upstream.report(&farewell)).await;
    }
}

/// What there is to say; nothing before the first snapshot is complete.
fn report(applied: &Applied, url: Option<&str>, draining: bool) -> Option<EdgeReport> {
    Some(EdgeReport {
        url: url.map(str::to_owned),
        applied: applied.position?,
        lagging: applied.lagging.clone(),
        draining,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}

async fn report_on(upstream: &Upstream, url: Option<&str>, saved: &mut watch::Receiver<Applied>, reconnected: &Notify) {
    let mut backoff = Backoff::default();
    loop {
        let next = Duration::from_secs(REPORT_SECONDS);
        let mut wait = next;
        let report = report(&saved.borrow_and_update(), url, false);
        if let Some(report) = report {
            match upstream.report(&report).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::warn!(error = %error_chain(&error), "no origin takes the report: trying again");
                    wait = backoff.failed(rand::random()).min(next);
                }
            }
        }
        tokio::select! {
            changed = saved.changed() => if changed.is_err() { return },
            () = reconnected.notified() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
}
