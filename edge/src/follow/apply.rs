//! The task that applies changes and manifests to the table that is served.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use verge_daemon::Clock;
use verge_daemon::feed::{Change, RowEvent};

use super::channels::Channels;
use super::manifests::{FetchResult, ManifestFetches};
use crate::metrics::Metrics;
use crate::status::AppliedState;
use crate::store::{Object, Store};
use crate::table::Table;

/// How often to check for expired inherited releases while nothing else happens.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// How often to save a state again that could not be saved.
const SAVE_RETRY_INTERVAL: Duration = Duration::from_secs(2);

pub(super) struct ApplyTask {
    pub(super) channels: Channels,
    pub(super) manifests: ManifestFetches,
    pub(super) store: Store,
    pub(super) table: Arc<ArcSwap<Table>>,
    /// What readers can see, and what is saved of it.
    pub(super) applied: watch::Sender<AppliedState>,
    /// Notified after each swap of the table.
    pub(super) table_swapped: watch::Sender<()>,
    pub(super) clock: Clock,
    pub(super) metrics: Metrics,
}

impl ApplyTask {
    /// Applies changes and manifests until the channel of changes is closed.
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        self.update().await;
        loop {
            let is_saved = self.applied.borrow().not_saving.is_none();
            let pause = if is_saved { EXPIRY_CHECK_INTERVAL } else { SAVE_RETRY_INTERVAL };
            tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => self.apply(change, &mut changes),
                    None => return,
                },
                result = self.manifests.next() => match result {
                    FetchResult::Fetched(resources) => self.channels.add_manifest(resources),
                    FetchResult::Failed(id, reason) => self.channels.record_failure(id, reason),
                },
                () = tokio::time::sleep(pause) => {}
            }
            self.update().await;
        }
    }

    /// Applies a change, and those that came while the last state was being saved.
    fn apply(&mut self, first: Change, changes: &mut mpsc::Receiver<Change>) {
        for change in std::iter::once(first).chain(std::iter::from_fn(|| changes.try_recv().ok())) {
            let events = self.channels.apply(change);
            note(&events, &self.metrics);
        }
    }

    /// Saves what has changed, then lets readers see it, then reports it: after a crash the edge never serves less than it showed.
    /// If the disk fails, readers see it all the same, and the state says that it is not saved.
    async fn update(&mut self) {
        let now = self.clock.now();
        self.channels.prune(now);
        let has_new_table = self.channels.advance(now);
        self.manifests.set_wanted(self.channels.referenced_manifests(now), &self.channels.missing_manifests(now));
        let before = self.applied.borrow().clone();
        let mut applied = AppliedState { not_saving: before.not_saving.clone(), ..self.channels.applied_state() };
        if applied != before || applied.not_saving.is_some() {
            applied.not_saving = self.save().await.and_then(|()| self.check_manifests()).err();
        }
        if has_new_table {
            self.table.store(Arc::new(self.channels.build_table(|site| self.metrics.site(site))));
            self.table_swapped.send_replace(());
        }
        if applied != before {
            tracing::info!(
                position = applied.position.map(|position| position.to_string()),
                lagging = applied.lagging.len(),
                "applied changes"
            );
            log_saving(before.not_saving.as_deref(), applied.not_saving.as_deref());
            self.applied.send_replace(applied);
        }
    }

    /// An error if a served manifest is not on disk: without it, a restart would serve less than the state says.
    fn check_manifests(&self) -> Result<(), String> {
        let mut served = self.channels.served_manifests();
        match served.find(|id| !self.store.contains(Object::Manifest(*id))) {
            None => Ok(()),
            Some(id) => {
                let reason = self.store.write_failure().unwrap_or_else(|| "it is being written".to_owned());
                Err(format!("manifest {id} is not on disk: {reason}"))
            }
        }
    }

    /// Saves the state; the error says why not.
    async fn save(&self) -> Result<(), String> {
        let (state, releases) = (self.channels.to_save(), self.channels.releases());
        let saved = self.store.run_blocking(move |store| {
            // Before the state, whose position says that they are saved.
            if let Some((version, records)) = releases.to_save() {
                store.save_releases(&records)?;
                releases.set_saved(version);
            }
            store.save_state(state.records())
        });
        saved
            .await
            .unwrap_or_else(|| Err(std::io::Error::other("the disk task was aborted")))
            .map_err(|error| error.to_string())
    }
}

fn log_saving(before: Option<&str>, now: Option<&str>) {
    match (before, now) {
        (None, Some(error)) => {
            tracing::error!(error, "failed to save the state: a restart would continue from an older one");
        }
        (Some(_), None) => tracing::info!("saving the state succeeds again"),
        _ => {}
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
