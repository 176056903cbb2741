//! The task that puts on disk what must outlive the process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use verge_daemon::DataFolder;

use super::FollowCounts;
use super::saved::{FILE, Remembered, Saved, SavedRows};

/// How often the file is written when only health changes, and how long after a write failed the next is tried.
const PAUSE: Duration = Duration::from_secs(10);

/// Saves what was told as it changes, and what is remembered of health now and then: probes find it out again.
pub(super) struct Saver {
    folder: Arc<DataFolder>,
    rows: watch::Receiver<Arc<SavedRows>>,
    health: watch::Receiver<Arc<Remembered>>,
    counts: FollowCounts,
    /// What the file holds, as far as is known.
    saved: (Arc<SavedRows>, Arc<Remembered>),
    failing: bool,
}

impl Saver {
    /// A saver of what changes from now on.
    pub(super) fn new(
        folder: Arc<DataFolder>,
        rows: watch::Receiver<Arc<SavedRows>>,
        health: watch::Receiver<Arc<Remembered>>,
        counts: FollowCounts,
    ) -> Self {
        let saved = (Arc::clone(&rows.borrow()), Arc::clone(&health.borrow()));
        Self { folder, rows, health, counts, saved, failing: false }
    }

    /// Saves until `draining`, or until nothing can change any more, and once more then. What changes during a write is in the
    /// next.
    pub(super) async fn run(mut self, draining: CancellationToken) {
        let mut last: Option<Instant> = None;
        loop {
            let earliest = last.map_or_else(Instant::now, |last| last + PAUSE);
            let pending = !self.holds(&self.rows.borrow(), &self.health.borrow());
            let done = tokio::select! {
                () = draining.cancelled() => true,
                // A disk that is full is not to be asked at every release.
                changed = self.rows.changed(), if !self.failing => changed.is_err(),
                changed = self.health.changed(), if !pending => match changed {
                    Ok(()) => continue,
                    Err(_) => true,
                },
                () = tokio::time::sleep_until(earliest), if pending => false,
            };
            self.save().await;
            if done {
                return;
            }
            last = Some(Instant::now());
        }
    }

    fn holds(&self, rows: &Arc<SavedRows>, health: &Arc<Remembered>) -> bool {
        Arc::ptr_eq(&self.saved.0, rows) && Arc::ptr_eq(&self.saved.1, health)
    }

    /// Writes the file unless it holds all that already. A write that fails stops nothing: it is told of and tried again.
    async fn save(&mut self) {
        let now = (Arc::clone(&self.rows.borrow_and_update()), Arc::clone(&self.health.borrow_and_update()));
        if self.holds(&now.0, &now.1) {
            return;
        }
        let (folder, (rows, health)) = (Arc::clone(&self.folder), now.clone());
        let write = tokio::task::spawn_blocking(move || {
            let saved = Saved { rows: (*rows).clone(), health: (*health).clone() };
            folder.replace(FILE, &serde_json::to_vec(&saved)?)
        });
        match write.await.unwrap_or_else(|crash| Err(std::io::Error::other(crash))) {
            Ok(()) => {
                self.saved = now;
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
    use std::path::{Path, PathBuf};

    use verge_daemon::Tasks;

    use super::*;
    use crate::follow::saved;

    struct Scene {
        folder: tempfile::TempDir,
        rows: watch::Sender<Arc<SavedRows>>,
        health: watch::Sender<Arc<Remembered>>,
        counts: FollowCounts,
        tasks: Tasks,
    }

    impl Scene {
        fn start() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let data = Arc::new(DataFolder::open(&folder.path().join("data")).unwrap());
            let (rows, health) = (watch::Sender::default(), watch::Sender::default());
            let (counts, tasks) = (FollowCounts::default(), Tasks::default());
            let saver = Saver::new(data, rows.subscribe(), health.subscribe(), counts.clone());
            drop(tasks.spawn("save", saver.run(tasks.draining().clone())));
            Self { folder, rows, health, counts, tasks }
        }

        fn told(&self, position: &str) {
            let position = position.parse().ok();
            self.rows.send_replace(Arc::new(SavedRows { position, ..SavedRows::default() }));
        }

        fn probed(&self, bar: &str) {
            self.health.send_replace(Arc::new(Remembered { bar: bar.parse().ok(), ..Remembered::default() }));
        }

        fn path(&self) -> PathBuf {
            self.folder.path().join("data")
        }

        /// The position and the bar on disk.
        fn on_disk(&self) -> (String, String) {
            let text = |position: Option<verge_protocol::Position>| position.map_or("-".into(), |at| at.to_string());
            let saved = saved::load(&self.path());
            (text(saved.rows.position), text(saved.health.bar))
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
    async fn rows_are_saved_at_once_and_health_now_and_then() {
        let scene = Scene::start();
        let is = |position: &str, bar: &str| assert_eq!(scene.on_disk(), (position.to_owned(), bar.to_owned()));
        scene.told("1-1");
        pass(Duration::ZERO).await;
        is("1-1", "-");
        scene.probed("1-1");
        pass(Duration::from_secs(8)).await;
        scene.probed("1-2");
        pass(Duration::from_secs(1)).await;
        is("1-1", "-");
        pass(Duration::from_secs(1)).await;
        is("1-1", "1-2");
        scene.probed("1-3");
        scene.told("1-3");
        pass(Duration::ZERO).await;
        is("1-3", "1-3");
        // After a long while of nothing new, the first that is new needs not wait.
        pass(Duration::from_mins(1)).await;
        scene.probed("1-4");
        pass(Duration::ZERO).await;
        is("1-3", "1-4");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_saved_yet_is_when_the_daemon_ends() {
        let scene = Scene::start();
        scene.told("1-1");
        pass(Duration::ZERO).await;
        scene.probed("1-1");
        scene.tasks.shutdown(Duration::from_secs(5)).await.unwrap();
        assert_eq!(scene.on_disk(), ("1-1".to_owned(), "1-1".to_owned()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_disk_that_is_full_stops_nothing_and_is_tried_again() {
        let scene = Scene::start();
        fill(&scene.path(), true);
        for (position, failures) in [("1-1", 1), ("1-2", 1)] {
            scene.told(position);
            pass(Duration::from_secs(1)).await;
            assert_eq!(scene.counts.failed_saves.get(), failures);
        }
        pass(PAUSE).await;
        assert_eq!(scene.counts.failed_saves.get(), 2);
        fill(&scene.path(), false);
        pass(PAUSE).await;
        assert_eq!((scene.counts.failed_saves.get(), scene.on_disk()), (2, ("1-2".to_owned(), "-".to_owned())));
        scene.told("1-3");
        pass(Duration::ZERO).await;
        assert_eq!(scene.on_disk().0, "1-3");
    }
}
