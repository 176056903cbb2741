//! The task that puts on disk what must outlive the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::DataDir;
use verge_protocol::Position;

use super::FollowCounts;
use super::rows::Rows;
use super::saved::{FILE, Remembered};

/// For how long the file is left alone after it was written, or could not be.
const PAUSE: Duration = Duration::from_secs(10);

/// Saves what was told and what is remembered of health as it changes: at once, unless that was done just now.
///
/// A position that moves alone is no reason: from an older one the origin tells the rest. It goes along with the next write, and
/// with the last.
pub(super) struct Saver {
    folder: Arc<DataDir>,
    rows: watch::Receiver<Rows>,
    health: watch::Receiver<Arc<Remembered>>,
    counts: FollowCounts,
    /// What the file holds, as far as is known: rows up to here, and this.
    saved: (Option<Position>, Arc<Remembered>),
    /// Whether there is a reason to write.
    stale: bool,
    failing: bool,
}

impl Saver {
    /// A saver of what changes from now on. `rows` are to wake it when there is a reason to write.
    pub(super) fn new(
        folder: Arc<DataDir>,
        rows: watch::Receiver<Rows>,
        health: watch::Receiver<Arc<Remembered>>,
        counts: FollowCounts,
    ) -> Self {
        let saved = (rows.borrow().told().position, Arc::clone(&health.borrow()));
        Self { folder, rows, health, counts, saved, stale: false, failing: false }
    }

    /// Saves until `draining`, or until nothing can change any more, and once more then. What changes during a write is in the
    /// next.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        let mut earliest = Instant::now();
        loop {
            let changed = tokio::select! {
                // What has changed before the end counts.
                biased;
                changed = self.rows.changed() => changed.map(|()| true),
                changed = self.health.changed() => {
                    changed.map(|()| !self.health.borrow_and_update().is_as_good_as(&self.saved.1))
                }
                () = draining.cancelled() => break,
                () = tokio::time::sleep_until(earliest), if self.stale => {
                    self.save().await;
                    earliest = Instant::now() + PAUSE;
                    continue;
                }
            };
            match changed {
                Ok(reason) => self.stale |= reason,
                Err(_) => break,
            }
        }
        let now = (self.rows.borrow().told().position, Arc::clone(&self.health.borrow()));
        if self.stale || now != self.saved {
            self.save().await;
        }
    }

    /// Writes the file. A write that fails stops nothing: it is told of and tried again.
    async fn save(&mut self) {
        let rows = self.rows.borrow_and_update().clone();
        let health = Arc::clone(&self.health.borrow_and_update());
        let now = (rows.told().position, Arc::clone(&health));
        let folder = Arc::clone(&self.folder);
        let write =
            tokio::task::spawn_blocking(move || folder.replace(FILE, &serde_json::to_vec(&rows.saved(&health))?));
        match write.await.unwrap_or_else(|crash| Err(std::io::Error::other(crash))) {
            Ok(()) => {
                (self.saved, self.stale) = (now, false);
                if std::mem::take(&mut self.failing) {
                    tracing::info!("the state can be saved again");
                }
            }
            Err(error) => {
                self.counts.failed_saves.inc();
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the state could not be saved: a restart would start from an older one");
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
    use verge_daemon::feed::Change;
    use verge_protocol::state::Row;

    use super::super::apply::Applier;
    use super::super::saved::{self, RememberedAddress};
    use super::*;

    struct Scene {
        folder: tempfile::TempDir,
        changes: mpsc::Sender<Change>,
        health: watch::Sender<Arc<Remembered>>,
        counts: FollowCounts,
        tasks: Tasks,
    }

    impl Scene {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = Arc::new(DataDir::open(&folder.path().join("data")).unwrap());
            let (health, to_save) = (watch::Sender::default(), watch::Sender::default());
            let (counts, tasks) = (FollowCounts::default(), Tasks::default());
            let saver = Saver::new(data, to_save.subscribe(), health.subscribe(), counts.clone());
            drop(tasks.spawn("save", saver.run(tasks.draining().clone())));
            let (changes, heard) = mpsc::channel(16);
            let (rows, told) = (Rows::default(), watch::Sender::default());
            let applier = Applier { rows, told, to_save, counts: counts.clone() };
            let until_drained = tasks.draining().clone();
            drop(tasks.spawn("follow", until_drained.run_until_cancelled_owned(applier.run(heard))));
            Self { folder, changes, health, counts, tasks }
        }

        /// A row of the sequence number of the position; `None`: the position alone moves.
        async fn told(&self, position: &str, row: Option<(&str, Value)>) {
            let position: Position = position.parse().unwrap();
            let row = row.map(|(key, value)| Row { key: key.to_owned(), seq: position.seq, value: Some(value.into()) });
            self.changes.send(Change::Rows(position, row.into_iter().collect())).await.unwrap();
        }

        /// An edge, of which nothing has been said so far.
        async fn edge(&self, position: &str) {
            self.told(position, Some((&format!("edge/at-{position}"), json!({})))).await;
        }

        /// A release of the same channel, always.
        async fn release(&self, position: &str) {
            let seq = position.parse::<Position>().unwrap().seq;
            let manifest = verge_protocol::Digest::of(position.as_bytes());
            let state = json!({ "epoch": seq, "release": format!("v{seq}"), "manifest": manifest });
            self.told(position, Some(("channel/demo/live", state))).await;
        }

        /// How the one edge there is was found.
        fn probed(&self, bar: &str, up: bool, lagging: bool) {
            let (edge, address) = ("fra-1".parse().unwrap(), "192.0.2.1".parse().unwrap());
            let address = RememberedAddress { edge, address, up, lagging, draining: false };
            self.health.send_replace(Arc::new(Remembered { bar: bar.parse().ok(), addresses: vec![address] }));
        }

        async fn end(&self) {
            self.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("data")
        }

        /// The position, how many rows there are, and the bar, on disk.
        fn on_disk(&self) -> (String, usize, String) {
            let text = |position: Option<Position>| position.map_or("-".into(), |at| at.to_string());
            let saved = saved::load(&self.path());
            (text(saved.position), saved.rows.entries.len() + saved.channels.entries.len(), text(saved.health.bar))
        }

        #[track_caller]
        fn is(&self, position: &str, rows: usize, bar: &str) {
            assert_eq!(self.on_disk(), (position.to_owned(), rows, bar.to_owned()));
        }

        /// What tells one file from the next that takes its place.
        fn file(&self) -> (u64, i64, i64) {
            let about = std::fs::metadata(self.path().join(FILE)).unwrap();
            (about.ino(), about.mtime(), about.mtime_nsec())
        }
    }

    /// Time stands still while a file is being written, so that this is enough for the saver to come to rest.
    async fn pass(time: Duration) {
        tokio::time::sleep(time + Duration::from_millis(1)).await;
    }

    /// A folder that is not there serves as a disk that is full, also for a user who may do anything.
    fn fill(path: &Path, full: bool) {
        let away = path.with_extension("away");
        if full { std::fs::rename(path, away) } else { std::fs::rename(away, path) }.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn what_changes_is_saved_at_once_but_not_again_and_again() {
        let scene = Scene::start();
        scene.edge("1-1").await;
        pass(Duration::ZERO).await;
        scene.is("1-1", 1, "-");
        let first = scene.file();
        scene.edge("1-2").await;
        pass(Duration::from_secs(3)).await;
        scene.edge("1-3").await;
        scene.probed("1-1", false, false);
        pass(Duration::from_secs(3)).await;
        scene.told("1-4", Some(("edge/at-1-1", json!({ "weight": 2 })))).await;
        pass(Duration::from_secs(3)).await;
        scene.is("1-1", 1, "-");
        assert_eq!(scene.file(), first);
        pass(Duration::from_secs(1)).await;
        scene.is("1-4", 3, "1-1");
        // After a long while of nothing new, the first that is new needs not wait.
        pass(Duration::from_mins(1)).await;
        scene.probed("1-4", true, true);
        pass(Duration::ZERO).await;
        scene.is("1-4", 3, "1-4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_position_alone_is_written_with_the_next_and_at_the_end() {
        let scene = Scene::start();
        scene.release("1-1").await;
        pass(Duration::ZERO).await;
        scene.is("1-1", 1, "-");
        let before = scene.file();
        for seq in 2..100 {
            scene.release(&format!("1-{seq}")).await;
            pass(Duration::from_secs(5)).await;
        }
        scene.told("1-100", None).await;
        pass(Duration::from_hours(1)).await;
        assert_eq!(scene.file(), before);
        scene.edge("1-101").await;
        pass(Duration::ZERO).await;
        scene.is("1-101", 2, "-");
        let before = scene.file();
        scene.release("1-102").await;
        pass(Duration::from_hours(1)).await;
        assert_eq!(scene.file(), before);
        scene.end().await;
        scene.is("1-102", 2, "-");
    }

    #[tokio::test(start_paused = true)]
    async fn a_bar_that_nobody_is_behind_is_a_position_like_others() {
        let scene = Scene::start();
        scene.probed("1-1", false, false);
        pass(Duration::ZERO).await;
        scene.is("-", 0, "1-1");
        let before = scene.file();
        scene.probed("1-2", false, false);
        pass(Duration::from_hours(1)).await;
        assert_eq!(scene.file(), before);
        scene.end().await;
        scene.is("-", 0, "1-2");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_saved_yet_is_when_the_daemon_ends() {
        let scene = Scene::start();
        scene.edge("1-1").await;
        pass(Duration::ZERO).await;
        scene.edge("1-2").await;
        scene.probed("1-1", false, false);
        pass(Duration::ZERO).await;
        scene.is("1-1", 1, "-");
        scene.end().await;
        scene.is("1-2", 2, "1-1");
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_new_is_not_written_when_the_daemon_ends() {
        let scene = Scene::start();
        scene.edge("1-1").await;
        pass(Duration::ZERO).await;
        let before = scene.file();
        scene.end().await;
        assert_eq!(scene.file(), before);
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_is_full_stops_nothing_and_is_tried_again() {
        let scene = Scene::start();
        fill(&scene.path(), true);
        for (position, failures) in [("1-1", 1), ("1-2", 1)] {
            scene.edge(position).await;
            pass(Duration::from_secs(1)).await;
            assert_eq!(scene.counts.failed_saves.get(), failures);
        }
        pass(PAUSE).await;
        assert_eq!(scene.counts.failed_saves.get(), 2);
        fill(&scene.path(), false);
        pass(PAUSE).await;
        scene.is("1-2", 2, "-");
        assert_eq!(scene.counts.failed_saves.get(), 2);
        scene.edge("1-3").await;
        pass(PAUSE).await;
        scene.is("1-3", 3, "-");
    }
}
