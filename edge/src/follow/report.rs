//! The task that tells the origin what is served.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use verge_protocol::report::{REPORT_SECONDS, Report};

use super::Applied;
use super::backoff::Backoff;
use crate::upstream::{Upstream, chain};

/// Reports after each change, at each reconnection, and every few seconds.
pub(super) async fn run(
    upstream: Upstream,
    url: Option<String>,
    mut saved: watch::Receiver<Applied>,
    reconnected: Arc<Notify>,
) {
    let mut backoff = Backoff::default();
    loop {
        let next = Duration::from_secs(REPORT_SECONDS);
        let mut wait = next;
        let applied = saved.borrow_and_update().clone();
        if let Some(position) = applied.position {
            let version = env!("CARGO_PKG_VERSION").to_owned();
            let report = Report { url: url.clone(), applied: position, lagging: applied.lagging, version };
            match upstream.report(&report).await {
                Ok(()) => backoff.reset(),
                Err(error) => {
                    tracing::warn!(error = %chain(&error), "no origin takes the report: trying again");
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
