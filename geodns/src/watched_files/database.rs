//! The location database.

use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use verge_daemon::file_watch::{FileStamps, POLL_INTERVAL};
use verge_daemon::{Tasks, error_chain};

use crate::geo::Database;

/// The location database, as last loaded successfully, if at all.
pub(crate) struct DatabaseSource {
    path: Option<PathBuf>,
    stamps: FileStamps,
    current: watch::Sender<Option<Arc<Database>>>,
    /// Why the file cannot be loaded now.
    failure: watch::Sender<Option<String>>,
    failures: Counter,
}

impl DatabaseSource {
    /// Loads the file, if one is configured. Blocks. A file that cannot be loaded is not an error, and is loaded when it changes: a
    /// name server without locations is better than none.
    pub(crate) fn open(path: Option<PathBuf>, failures: Counter) -> Self {
        let (current, failure) = (watch::Sender::default(), watch::Sender::default());
        let mut source = Self { path, stamps: FileStamps::default(), current, failure, failures };
        source.load();
        source
    }

    /// The current database.
    pub(crate) fn database(&self) -> watch::Receiver<Option<Arc<Database>>> {
        self.current.subscribe()
    }

    /// Why the file cannot be loaded now, with its path; `None` if it is loaded, or if none is configured. An earlier version may
    /// be in use all the same.
    pub(crate) fn failure(&self) -> watch::Receiver<Option<String>> {
        self.failure.subscribe()
    }

    /// Reloads it when it changes, until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        if self.path.is_none() {
            return;
        }
        let watch = async move {
            loop {
                tokio::time::sleep(POLL_INTERVAL).await;
                let poll = tokio::task::spawn_blocking(move || {
                    if self.stamps.have_changed() {
                        self.load();
                    }
                    self
                });
                match poll.await {
                    Ok(source) => self = source,
                    Err(error) => {
                        return tracing::error!(%error, "reloading the location database crashed: it is no longer reloaded");
                    }
                }
            }
        };
        drop(tasks.spawn("location database", tasks.draining().clone().run_until_cancelled_owned(watch)));
    }

    fn load(&mut self) {
        let Some(path) = &self.path else { return };
        self.stamps = FileStamps::default();
        self.stamps.add([path.as_path()]);
        match Database::open(path) {
            Ok(database) => {
                let about = database.about();
                tracing::info!(
                    file = %path.display(),
                    database = about.database_type,
                    networks = about.networks,
                    locations = about.locations,
                    "loaded the location database"
                );
                self.failure.send_replace(None);
                self.current.send_replace(Some(Arc::new(database)));
            }
            Err(error) => {
                self.failures.inc();
                let (error, in_use) = (error_chain(&error), self.current.borrow().is_some());
                tracing::error!(file = %path.display(), error, previous_in_use = in_use, "failed to load the location database");
                self.failure.send_replace(Some(format!("{}: {error}", path.display())));
            }
        }
    }
}
