//! The task that applies changes and manifests to the table that is served, and the task that saves the result.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use verge_daemon::Clock;
use verge_daemon::feed::{Change, RowEvent};

use super::channels::Channels;
use super::channels::saved_state::ToSave;
use super::manifests::{FetchResult, ManifestFetches};
use crate::metrics::Metrics;
use crate::status::AppliedState;
use crate::store::Store;
use crate::table::Table;

/// How often to check for expired inherited releases while nothing else happens.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_mins(1);

pub(super) struct ApplyTask {
    pub(super) channels: Channels,
    pub(super) manifests: ManifestFetches,
    pub(super) table: Arc<ArcSwap<Table>>,
    pub(super) applied: watch::Sender<AppliedState>,
    /// The state to be saved by [`save`].
    pub(super) to_save: watch::Sender<Option<Unsaved>>,
    /// Notified after each swap of the table.
    pub(super) table_swapped: watch::Sender<()>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

/// A state to be saved, and how far it is applied.
#[derive(Debug, Clone)]
pub(super) struct Unsaved {
    state: ToSave,
    applied: AppliedState,
}

impl ApplyTask {
    /// Applies changes and manifests until the channel of changes is closed.
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        self.update();
        loop {
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.apply(change),
                    None => return,
                },
                result = self.manifests.next() => match result {
                    FetchResult::Fetched(resources) => self.channels.add_manifest(resources),
                    FetchResult::Failed(id, reason) => self.channels.record_failure(id, reason),
                },
                () = tokio::time::sleep(EXPIRY_CHECK_INTERVAL) => {}
            }
            self.update();
        }
    }

    fn apply(&mut self, change: Change) {
        let events = self.channels.apply(change);
        note(&events, &self.metrics);
    }

    fn update(&mut self) {
        let now = self.clock.now();
        self.channels.prune(now);
        if self.channels.advance() {
            self.table.store(Arc::new(self.channels.build_table(|site| self.metrics.site(site))));
            self.table_swapped.send_replace(());
        }
        self.manifests.set_wanted(self.channels.referenced_manifests(now), &self.channels.missing_manifests(now));
        let applied = self.channels.applied_state();
        if *self.applied.borrow() != applied {
            tracing::info!(
                position = applied.position.map(|position| position.to_string()),
                lagging = applied.lagging.len(),
                "applied changes"
            );
            let state = self.channels.to_save();
            self.to_save.send_replace(Some(Unsaved { state, applied: applied.clone() }));
            self.applied.send_replace(applied);
        }
    }
}

/// Logs and counts what an operator should know.
pub(super) fn note(events: &[RowEvent], metrics: &Metrics) {
    for event in events {
        event.log();
        if let RowEvent::Refused { .. } = event {
            metrics.refused_rows.inc();
        }
    }
}

/// Saves each state, or only the latest where they come faster than the disk takes them, and publishes it to `saved` afterwards.
/// So what is reported survives a crash. If the disk fails, the state is published all the same, since it is served.
pub(super) async fn save(
    store: Store,
    mut to_save: watch::Receiver<Option<Unsaved>>,
    saved: watch::Sender<AppliedState>,
) {
    while to_save.changed().await.is_ok() {
        let Some(Unsaved { state, applied }) = to_save.borrow_and_update().clone() else { continue };
        if let Some(Err(error)) = store.run_blocking(move |store| store.save_state(&state.saved())).await {
            tracing::error!(%error, "failed to save the state: a restart would continue from an older one");
        }
        saved.send_replace(applied);
    }
}
