//! The task that saves the state to disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::{DataDir, saved_state};
use verge_protocol::Position;

use super::metrics::FollowMetrics;
use super::rows::Rows;
use super::state_file::FILE;
use crate::health::SavedHealth;

/// The minimum time between two writes, successful or not.
const PAUSE: Duration = Duration::from_secs(10);

/// Saves rows and health when they change: at once, or [`PAUSE`] after the previous write.
///
/// A new position alone is not saved: the origin sends the rest after an older one. It is saved with the next change, and at
/// shutdown.
pub(super) struct Saver {
    data: Arc<DataDir>,
    rows: watch::Receiver<Rows>,
    health: watch::Receiver<Arc<SavedHealth>>,
    metrics: FollowMetrics,
    /// What the file contains: rows up to this position, and this health.
    saved: (Option<Position>, Arc<SavedHealth>),
    /// Whether a write is due.
    dirty: bool,
    failing: bool,
}

impl Saver {
    /// Saves changes from now on. `rows` must notify only of changes that must be saved.
    pub(super) fn new(
        data: Arc<DataDir>,
        rows: watch::Receiver<Rows>,
        health: watch::Receiver<Arc<SavedHealth>>,
        metrics: FollowMetrics,
    ) -> Self {
        let saved = (rows.borrow().state().position, Arc::clone(&health.borrow()));
        Self { data, rows, health, metrics, saved, dirty: false, failing: false }
    }

    /// Saves until `draining` or until the senders are dropped, and once more then. A change during a write is in the next one.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        let mut earliest = Instant::now();
        loop {
            let changed = tokio::select! {
                // Changes before the shutdown take precedence over it.
                biased;
                changed = self.rows.changed() => changed.map(|()| true),
                changed = self.health.changed() => {
                    changed.map(|()| !self.health.borrow_and_update().is_covered_by(&self.saved.1))
                }
                () = draining.cancelled() => break,
                () = tokio::time::sleep_until(earliest), if self.dirty => {
                    self.save().await;
                    earliest = Instant::now() + PAUSE;
                    continue;
                }
            };
            match changed {
                Ok(must_save) => self.dirty |= must_save,
                Err(_) => break,
            }
        }
        let now = (self.rows.borrow().state().position, Arc::clone(&self.health.borrow()));
        if self.dirty || now != self.saved {
            self.save().await;
        }
    }

    /// Writes the file. A failure is logged and retried.
    async fn save(&mut self) {
        let rows = self.rows.borrow_and_update().clone();
        let health = Arc::clone(&self.health.borrow_and_update());
        let now = (rows.state().position, Arc::clone(&health));
        let data = Arc::clone(&self.data);
        let write =
            tokio::task::spawn_blocking(move || data.replace(FILE, &saved_state::encode(rows.records(&health))?));
        match write.await.unwrap_or_else(|crash| Err(std::io::Error::other(crash))) {
            Ok(()) => {
                (self.saved, self.dirty) = (now, false);
                self.metrics.save_failure.store(None);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("saving the state succeeds again");
                }
            }
            Err(error) => {
                self.metrics.save_failures.inc();
                self.metrics.save_failure.store(Some(Arc::new(error.to_string())));
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "failed to save the state: a restart would use an older one");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;
    use std::path::{Path, PathBuf};

    use serde_json::{Value, json};
    use tokio::sync::mpsc;
    use verge_daemon::Tasks;
    use verge_daemon::feed::{Change, RowRecord};
    use verge_protocol::state::Row;
    use verge_protocol::{Checkpoint, History};

    use super::super::applier::Applier;
    use super::super::state_file::{self, StateRecord};
    use super::*;
    use crate::health::SavedAddress;

    struct Harness {
        folder: tempfile::TempDir,
        changes: mpsc::Sender<Change>,
        health: watch::Sender<Arc<SavedHealth>>,
        metrics: FollowMetrics,
        tasks: Tasks,
    }

    impl Harness {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = Arc::new(DataDir::open(&folder.path().join("data")).unwrap());
            let (health, to_save) = (watch::Sender::default(), watch::Sender::default());
            let (metrics, tasks) = (FollowMetrics::default(), Tasks::default());
            let saver = Saver::new(data, to_save.subscribe(), health.subscribe(), metrics.clone());
            drop(tasks.spawn("save", saver.run(tasks.draining().clone())));
            let (changes, received) = mpsc::channel(16);
            let (rows, fleet_state) = (Rows::default(), watch::Sender::default());
            let applier = Applier { rows, fleet_state, to_save, metrics: metrics.clone() };
            let until_drained = tasks.draining().clone();
            drop(tasks.spawn("follow", until_drained.run_until_cancelled_owned(applier.run(received))));
            Self { folder, changes, health, metrics, tasks }
        }

        /// Sends a row with the sequence number of the position; `None`: only the position.
        async fn send(&self, position: &str, row: Option<(&str, Value)>) {
            let position: Position = position.parse().unwrap();
            let at = Checkpoint { position, history: History::default() };
            let row = row.map(|(key, value)| Row { key: key.to_owned(), seq: position.seq, value: Some(value.into()) });
            self.changes.send(Change::Rows(at, row.into_iter().collect())).await.unwrap();
        }

        /// Sends a new edge.
        async fn edge(&self, position: &str) {
            self.send(position, Some((&format!("edge/at-{position}"), json!({})))).await;
        }

        /// Sends a release of one and the same channel.
        async fn release(&self, position: &str) {
            let seq = position.parse::<Position>().unwrap().seq;
            let manifest = verge_protocol::Digest::of(position.as_bytes());
            let state = json!({ "epoch": seq, "release": format!("v{seq}"), "manifest": manifest });
            self.send(position, Some(("channel/demo/live", state))).await;
        }

        /// Publishes the health of the one edge.
        fn probed(&self, threshold: &str, up: bool, lagging: bool) {
            let (edge, address) = ("fra-1".parse().unwrap(), "192.0.2.1".parse().unwrap());
            let address = SavedAddress { edge, address, up, lagging, cut_off: false, draining: false };
            self.health.send_replace(Arc::new(SavedHealth {
                lag_threshold: threshold.parse().ok(),
                obtainable_threshold: None,
                addresses: vec![address],
            }));
        }

        async fn end(&self) {
            self.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("data")
        }

        /// The position, the number of rows and the lag threshold on disk.
        fn on_disk(&self) -> (String, usize, String) {
            let text = |position: Option<Position>| position.map_or("-".into(), |at| at.to_string());
            let (mut position, mut rows, mut threshold) = (None, 0, None);
            for record in state_file::load(&self.path()).records {
                match record {
                    StateRecord::Feed(RowRecord::Checkpoint(checkpoint)) => position = Some(checkpoint.position),
                    StateRecord::Feed(_) | StateRecord::Channel(_) => rows += 1,
                    StateRecord::Health(health) => threshold = health.lag_threshold,
                }
            }
            (text(position), rows, text(threshold))
        }

        #[track_caller]
        fn assert_on_disk(&self, position: &str, rows: usize, threshold: &str) {
            assert_eq!(self.on_disk(), (position.to_owned(), rows, threshold.to_owned()));
        }

        /// The identity of the file, which changes when it is replaced.
        fn file(&self) -> (u64, i64, i64) {
            let about = std::fs::metadata(self.path().join(FILE)).unwrap();
            (about.ino(), about.mtime(), about.mtime_nsec())
        }
    }

    /// Paused time does not advance during a write, so the saver is idle afterwards.
    async fn pass(time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(1)).await;
    }

    /// A missing folder stands for a full disk, also for a privileged user.
    fn fill(path: &Path, full: bool) {
        let away = path.with_extension("away");
        if full { std::fs::rename(path, away) } else { std::fs::rename(away, path) }.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn change_is_saved_at_once_but_not_within_the_pause() {
        let harness = Harness::start();
        harness.edge("1-1").await;
        pass(Duration::ZERO).await;
        harness.assert_on_disk("1-1", 1, "-");
        let first = harness.file();
        harness.edge("1-2").await;
        pass(Duration::from_secs(3)).await;
        harness.edge("1-3").await;
        harness.probed("1-1", false, false);
        pass(Duration::from_secs(3)).await;
        harness.send("1-4", Some(("edge/at-1-1", json!({ "weight": 2 })))).await;
        pass(Duration::from_secs(3)).await;
        harness.assert_on_disk("1-1", 1, "-");
        assert_eq!(harness.file(), first);
        pass(Duration::from_secs(1)).await;
        harness.assert_on_disk("1-4", 3, "1-1");
        // After a long time without changes, the first change is saved at once.
        pass(Duration::from_mins(1)).await;
        harness.probed("1-4", true, true);
        pass(Duration::ZERO).await;
        harness.assert_on_disk("1-4", 3, "1-4");
    }

    #[tokio::test(start_paused = true)]
    async fn new_position_alone_is_saved_with_the_next_change_and_at_shutdown() {
        let harness = Harness::start();
        harness.release("1-1").await;
        pass(Duration::ZERO).await;
        harness.assert_on_disk("1-1", 1, "-");
        let before = harness.file();
        for seq in 2..100 {
            harness.release(&format!("1-{seq}")).await;
            pass(Duration::from_secs(5)).await;
        }
        harness.send("1-100", None).await;
        pass(Duration::from_hours(1)).await;
        assert_eq!(harness.file(), before);
        harness.edge("1-101").await;
        pass(Duration::ZERO).await;
        harness.assert_on_disk("1-101", 2, "-");
        let before = harness.file();
        harness.release("1-102").await;
        pass(Duration::from_hours(1)).await;
        assert_eq!(harness.file(), before);
        harness.end().await;
        harness.assert_on_disk("1-102", 2, "-");
    }

    #[tokio::test(start_paused = true)]
    async fn lag_threshold_without_a_lagging_edge_is_saved_only_at_shutdown() {
        let harness = Harness::start();
        harness.probed("1-1", false, false);
        pass(Duration::ZERO).await;
        harness.assert_on_disk("-", 0, "1-1");
        let before = harness.file();
        harness.probed("1-2", false, false);
        pass(Duration::from_hours(1)).await;
        assert_eq!(harness.file(), before);
        harness.end().await;
        harness.assert_on_disk("-", 0, "1-2");
    }

    #[tokio::test(start_paused = true)]
    async fn unsaved_change_is_saved_at_shutdown() {
        let harness = Harness::start();
        harness.edge("1-1").await;
        pass(Duration::ZERO).await;
        harness.edge("1-2").await;
        harness.probed("1-1", false, false);
        pass(Duration::ZERO).await;
        harness.assert_on_disk("1-1", 1, "-");
        harness.end().await;
        harness.assert_on_disk("1-2", 2, "1-1");
    }

    #[tokio::test(start_paused = true)]
    async fn unchanged_state_is_not_written_at_shutdown() {
        let harness = Harness::start();
        harness.edge("1-1").await;
        pass(Duration::ZERO).await;
        let before = harness.file();
        harness.end().await;
        assert_eq!(harness.file(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_save_is_counted_and_retried() {
        let harness = Harness::start();
        fill(&harness.path(), true);
        for (position, failures) in [("1-1", 1), ("1-2", 1)] {
            harness.edge(position).await;
            pass(Duration::from_secs(1)).await;
            assert_eq!(harness.metrics.save_failures.get(), failures);
        }
        pass(PAUSE).await;
        assert_eq!(harness.metrics.save_failures.get(), 2);
        fill(&harness.path(), false);
        pass(PAUSE).await;
        harness.assert_on_disk("1-2", 2, "-");
        assert_eq!(harness.metrics.save_failures.get(), 2);
        harness.edge("1-3").await;
        pass(PAUSE).await;
        harness.assert_on_disk("1-3", 3, "-");
    }
}
