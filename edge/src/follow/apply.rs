//! The task that applies changes, manifests and arrived blobs to the table that is served.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use verge_daemon::feed::{Change, RowEvent};

use super::channels::Channels;
use super::holding::Holding;
use super::manifests::{FetchResult, ManifestFetches};
use super::prefetch_status::PrefetchStatus;
use super::purger::Purger;
use super::wanted::Wanted;
use crate::metrics::Metrics;
use crate::status::AppliedState;
use crate::store::{Object, Store};
use crate::table::Table;

/// How often to check for expired inherited releases while nothing else happens.
const EXPIRY_CHECK_INTERVAL: Duration = Duration::from_mins(1);
/// How often to save a state again that could not be saved, and to look whether a purge that has failed is due again.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);
/// How often to look, while blobs arrive, how many are missing. The end of a batch is noticed at once.
const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);
/// The pause after a look at all that is awaited, in multiples of the time it took: an edge that fetches many sites at once does little
/// else.
const CHECK_PAUSE: u32 = 10;

pub(super) struct ApplyTask {
    pub(super) channels: Channels,
    pub(super) manifests: ManifestFetches,
    pub(super) purger: Purger,
    pub(super) store: Store,
    pub(super) table: Arc<ArcSwap<Table>>,
    /// What readers can see, and what is saved of it.
    pub(super) applied: watch::Sender<AppliedState>,
    /// What the prefetch task should fetch. Sent last: a switch does not wait for it.
    pub(super) wanted: watch::Sender<Arc<Wanted>>,
    /// What the prefetch task has found out.
    pub(super) prefetch: watch::Receiver<PrefetchStatus>,
    /// Notified after each blob that it has stored.
    pub(super) progress: watch::Receiver<()>,
    /// When the process started.
    pub(super) started: Instant,
    /// When to look next at all that is awaited.
    pub(super) check_after: Instant,
    /// When to do so because a blob has arrived.
    pub(super) progress_after: Instant,
    pub(super) metrics: Metrics,
}

/// Of which releases to look how much is on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Check {
    /// Those of which that is not known.
    Unknown,
    /// All that something waits for.
    Awaited,
}

impl ApplyTask {
    /// Applies changes, manifests and blobs until the channel of changes is closed.
    pub(super) async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        self.update(Check::Awaited).await;
        loop {
            let has_failed = self.applied.borrow().not_saving.is_some() || self.channels.has_failed_purge();
            let pause = if has_failed { RETRY_INTERVAL } else { EXPIRY_CHECK_INTERVAL };
            let check = tokio::select! {
                change = changes.recv() => match change {
                    Some(change) => {
                        self.apply(change, &mut changes);
                        Check::Unknown
                    }
                    None => return,
                },
                result = self.manifests.next() => {
                    match result {
                        FetchResult::Fetched(resources) => self.channels.add_manifest(resources),
                        FetchResult::Failed(id, failure) => self.channels.record_failure(id, failure),
                    }
                    Check::Unknown
                }
                result = self.purger.next() => {
                    match result {
                        Ok(done) => self.channels.record_purge(done.generation, done.proof(&self.table.load())),
                        Err(reason) => {
                            tracing::error!(reason, "a purge failed: to be tried again");
                            self.channels.record_purge_failure(reason, self.started.elapsed());
                        }
                    }
                    Check::Unknown
                }
                () = changed_after(&mut self.prefetch, self.check_after) => Check::Awaited,
                () = changed_after(&mut self.progress, self.progress_after) => Check::Awaited,
                () = tokio::time::sleep(pause) => Check::Awaited,
            };
            self.update(check).await;
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
    async fn update(&mut self, check: Check) {
        let now = self.started.elapsed();
        if let Some(erased) = self.channels.take_erased_blobs() {
            self.store.set_erased_blobs(erased);
        }
        self.channels.prune(now);
        self.check_holdings(check);
        let has_new_table = self.channels.advance(now);
        let (referenced, missing) = (self.channels.referenced_manifests(), self.channels.missing_manifests());
        self.manifests.set_wanted(referenced, &missing, self.channels.preparing_manifests());
        let before = self.applied.borrow().clone();
        let mut applied = AppliedState { not_saving: before.not_saving.clone(), ..self.channels.applied_state() };
        if self.channels.take_unsaved() || applied.not_saving.is_some() {
            applied.not_saving = self.save(now).await.and_then(|()| self.check_manifests()).err();
        }
        applied.retract_unsaved();
        if has_new_table {
            self.table.store(Arc::new(self.channels.build_table(|site| self.metrics.site(site))));
        }
        // After the swap: what is checked is what is served.
        if let Some(due) = self.channels.start_purge(now) {
            self.purger.start(due);
            applied.purging = self.channels.purging().collect();
        }
        if applied != before {
            log_changes(&before, &applied);
            self.applied.send_replace(applied);
        }
        let wanted = self.channels.wanted();
        self.wanted.send_if_modified(|before| {
            let has_changed = **before != wanted;
            if has_changed {
                *before = Arc::new(wanted);
            }
            has_changed
        });
    }

    fn check_holdings(&mut self, check: Check) {
        let releases = match check {
            Check::Unknown => self.channels.unchecked_releases(),
            Check::Awaited => self.channels.awaited_releases(),
        };
        let begin = Instant::now();
        let status = self.prefetch.borrow().clone();
        for release in releases {
            self.channels.set_holding(release.manifest(), Holding::of(&release, &self.store, &status));
        }
        if check == Check::Awaited {
            self.check_after = Instant::now() + begin.elapsed() * CHECK_PAUSE;
            self.progress_after = self.check_after.max(begin + PROGRESS_INTERVAL);
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
    async fn save(&self, now: Duration) -> Result<(), String> {
        let (state, releases) = (self.channels.to_save(now), self.channels.releases());
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

/// Waits until `after`, then for a change; for ever once there will be none. Cancel-safe.
async fn changed_after<T>(receiver: &mut watch::Receiver<T>, after: Instant) {
    tokio::time::sleep_until(after).await;
    if receiver.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

fn log_changes(before: &AppliedState, applied: &AppliedState) {
    if (before.position, before.lagging.len()) != (applied.position, applied.lagging.len()) {
        tracing::info!(
            position = applied.position.map(|position| position.to_string()),
            lagging = applied.lagging.len(),
            "applied changes"
        );
    }
    match (before.not_saving.as_deref(), applied.not_saving.as_deref()) {
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
