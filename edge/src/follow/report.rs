//! The task that reports to the origin what this edge serves.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::{Backoff, Clock, error_chain};
use verge_protocol::EdgeName;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{CanaryCounts, EdgeReport, REPORT_SECONDS};

use crate::status::{AppliedState, MeasuredRelease};
use crate::tls::FleetCertificates;
use crate::upstream::Upstream;

/// Timeout of the last report, so that shutdown does not wait for an unreachable origin.
const FINAL_REPORT_TIMEOUT: Duration = Duration::from_secs(1);
/// Minimum interval of reports that say nothing new but how many bytes have arrived.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// What reports are sent with.
pub(super) struct Sender {
    pub(super) upstream: Upstream,
    /// The name of this edge. An origin refuses the report if the token is that of another edge.
    pub(super) name: EdgeName,
    /// Its public URL.
    pub(super) url: Option<String>,
    /// `None`: it serves no TLS.
    pub(super) certificates: Option<FleetCertificates>,
    pub(super) clock: Clock,
}

/// Reports after each change (how many bytes have arrived, every [`PROGRESS_INTERVAL`]), on each reconnection, every [`REPORT_SECONDS`], and
/// once more when `draining` is cancelled.
pub(super) async fn run(
    sender: Sender,
    mut applied: watch::Receiver<AppliedState>,
    reconnected: Arc<Notify>,
    draining: CancellationToken,
) {
    // It also ends when the apply task has drained first.
    let _ = draining.run_until_cancelled(sender.report_until_closed(&mut applied, &reconnected)).await;
    let report = sender.report(&applied.borrow(), true);
    if let Some(report) = report {
        // An origin that does not get it notices that reports stop.
        let _ = tokio::time::timeout(FINAL_REPORT_TIMEOUT, sender.upstream.report(&report)).await;
    }
}

/// What the edge `name` reports when it has `applied` so much; `None` before the first snapshot is complete.
pub(super) fn report_of(name: EdgeName, applied: &AppliedState) -> Option<EdgeReport> {
    let report = EdgeReport {
        edge: Some(name),
        history: applied.history,
        lagging: applied.lagging.clone(),
        preparations: Some(applied.preparations.clone()),
        canaries: applied.canaries.iter().map(canary_counts).collect(),
        purging: applied.purging.clone(),
        purged: Some(applied.purged.clone()),
        orphans: applied.orphans.clone(),
        not_saving: applied.not_saving.clone(),
        ..EdgeReport::new(applied.position?, env!("CARGO_PKG_VERSION"))
    };
    Some(report.bounded())
}

impl Sender {
    /// The report to send; `None` before the first snapshot is complete.
    fn report(&self, applied: &AppliedState, draining: bool) -> Option<EdgeReport> {
        let report = EdgeReport {
            url: self.url.clone(),
            received_bytes: self.upstream.received_bytes(),
            time: Some(self.clock.now()),
            draining,
            // After the state: what is missing of later rows is no harm.
            certificates: self.certificates.as_ref().map(FleetCertificates::lagging),
            tls_problems: self.certificates.as_ref().map_or_else(Vec::new, FleetCertificates::problems),
            ..report_of(self.name.clone(), applied)?
        };
        Some(report.bounded())
    }

    /// Waits until other certificates are presented. Cancel-safe.
    async fn certificates_changed(&self) {
        match &self.certificates {
            Some(certificates) => certificates.presented_changed().await,
            None => std::future::pending().await,
        }
    }

    async fn report_until_closed(&self, applied: &mut watch::Receiver<AppliedState>, reconnected: &Notify) {
        let mut backoff = Backoff::default();
        loop {
            let interval = Duration::from_secs(REPORT_SECONDS);
            let mut wait = interval;
            let sent = applied.borrow_and_update().clone();
            let (report, sent_at) = (self.report(&sent, false), Instant::now());
            if let Some(report) = report {
                match self.upstream.report(&report).await {
                    Ok(()) => backoff.reset(),
                    Err(error) => {
                        let cause = error_chain(&error);
                        if error.is_refused() {
                            tracing::error!(edge = %self.name, error = %cause, "reports are refused: this edge is not live for the origin");
                        } else {
                            tracing::warn!(error = %cause, "failed to report to the origin: retrying");
                        }
                        wait = backoff.failed(rand::random()).min(interval);
                    }
                }
            }
            tokio::select! {
                changed = changed_since(applied, &sent, sent_at) => if changed.is_err() { return },
                () = reconnected.notified() => {}
                () = self.certificates_changed() => {}
                () = tokio::time::sleep(wait) => {}
            }
        }
    }
}

fn canary_counts(measured: &MeasuredRelease) -> CanaryCounts {
    let HostLabel { site, channel } = measured.label.clone();
    CanaryCounts { site, channel, manifest: measured.manifest, counts: measured.counters.counts() }
}

/// Waits until the state differs from `sent` in more than progress, or in progress for so long that it is worth a report. An error:
/// there will be no other state.
async fn changed_since(
    applied: &mut watch::Receiver<AppliedState>,
    sent: &AppliedState,
    sent_at: Instant,
) -> Result<(), watch::error::RecvError> {
    applied.changed().await?;
    while applied.borrow_and_update().without_progress() == sent.without_progress() {
        tokio::select! {
            changed = applied.changed() => changed?,
            () = tokio::time::sleep_until(sent_at + PROGRESS_INTERVAL) => return Ok(()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use verge_protocol::Seq;
    use verge_protocol::report::{BYTES_MAX, LIST_MAX, Lag};

    use super::*;

    #[test]
    fn report_of_many_lagging_channels_fits_and_counts_them() {
        let lag = |number: u64| Lag {
            site: format!("site-{number}").parse().unwrap(),
            channel: "live".parse().unwrap(),
            seq: Seq(number),
            reason: "fetching the manifest".repeat(30),
        };
        let position = Some("1-20000".parse().unwrap());
        let applied = AppliedState { position, lagging: (1..=20_000).map(lag).collect(), ..AppliedState::default() };
        let report = report_of("fra-1".parse().unwrap(), &applied).unwrap();
        assert!(serde_json::to_vec(&report).unwrap().len() <= BYTES_MAX);
        assert_eq!((report.lagging.len(), report.lagging_omitted), (LIST_MAX, 20_000 - LIST_MAX as u64));
    }
}
