//! The task that applies changes of the feed to the fleet state.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use verge_daemon::feed::{Change, RowEvent};

use super::metrics::FollowMetrics;
use super::rows::Rows;
use crate::fleet_state::FleetState;

pub(super) struct Applier {
    pub(super) rows: Rows,
    pub(super) fleet_state: watch::Sender<Arc<FleetState>>,
    pub(super) to_save: watch::Sender<Rows>,
    pub(super) metrics: FollowMetrics,
}

impl Applier {
    /// Applies changes until the sender is dropped.
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        while let Some(change) = changes.recv().await {
            let applied = self.rows.apply(change);
            report(&self.metrics, &applied.events, &self.rows);
            let now = self.rows.state();
            // A new position is published without a notification.
            self.fleet_state.send_if_modified(|state| {
                *state = Arc::new(now.clone());
                applied.changed
            });
            self.to_save.send_if_modified(|rows| {
                *rows = self.rows.clone();
                applied.must_save
            });
            if applied.changed {
                let position = now.position.map(|position| position.to_string());
                tracing::info!(position, edges = now.edges.len(), domains = now.domains.len(), "fleet state changed");
            }
        }
    }
}

/// Logs and counts what an operator should know.
pub(super) fn report(metrics: &FollowMetrics, events: &[RowEvent], rows: &Rows) {
    for event in events {
        event.log();
        if let RowEvent::Refused { .. } = event {
            metrics.refused_rows.inc();
        }
    }
    metrics.unknown_keys.set(i64::try_from(rows.unknown()).unwrap_or(i64::MAX));
}
