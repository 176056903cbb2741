//! The database of places.

use std::path::PathBuf;
use std::sync::Arc;

use prometheus_client::metrics::counter::Counter;
use tokio::sync::watch;
use verge_daemon::{Tasks, error_chain};

use super::LOOK;
use super::changed::Stamps;
use crate::place::Database;

/// A database as its file was when it could last be read. There may be none.
pub(crate) struct DatabaseSource {
    path: Option<PathBuf>,
    stamps: Stamps,
    read: watch::Sender<Option<Arc<Database>>>,
    failures: Counter,
}

impl DatabaseSource {
    /// Reads the file, if one is configured. Blocks. One that cannot be read is done without, and tried again when it changes:
    /// a name server that does not start answers worse than one that does not know where clients are.
    pub(crate) fn open(path: Option<PathBuf>, failures: Counter) -> Self {
        let mut source = Self { path, stamps: Stamps::default(), read: watch::Sender::new(None), failures };
        source.load();
        source
    }

    /// The database, as it goes on.
    pub(crate) fn database(&self) -> watch::Receiver<Option<Arc<Database>>> {
        self.read.subscribe()
    }

    /// Reads it again when it changes, until `tasks` drain.
    pub(crate) fn run(mut self, tasks: &Tasks) {
        if self.path.is_none() {
            return;
        }
        let watch = async move {
            loop {
                tokio::time::sleep(LOOK).await;
                let look = tokio::task::spawn_blocking(move || {
                    if self.stamps.have_changed() {
                        self.load();
                    }
                    self
                });
                match look.await {
                    Ok(source) => self = source,
                    Err(error) => return tracing::error!(%error, "reading the database crashed: it stays as it is"),
                }
            }
        };
        drop(tasks.spawn("database of places", tasks.draining().clone().run_until_cancelled_owned(watch)));
    }

    fn load(&mut self) {
        let Some(path) = &self.path else { return };
        self.stamps = Stamps::default();
        self.stamps.add([path.as_path()]);
        match Database::open(path) {
            Ok(database) => {
                let about = database.about();
                tracing::info!(
                    file = %path.display(),
                    database = about.database_type,
                    networks = about.networks,
                    places = about.places,
                    "the database of places was read"
                );
                self.read.send_replace(Some(Arc::new(database)));
            }
            Err(error) => {
                self.failures.inc();
                let kept = self.read.borrow().is_some();
                tracing::error!(file = %path.display(), error = %error_chain(&error), kept, "the database of places cannot be read");
            }
        }
    }
}
