//! The fleet: which edges there are, whether or not they report.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::sync::{Mutex, watch};
use verge_protocol::EdgeName;
use verge_protocol::fleet::Force;

use crate::store::{Database, StoreError};

/// The edges that serve readers: those that are configured or have a token, and are not forced down. Clones share them.
#[derive(Clone)]
pub(crate) struct Fleet {
    database: Database,
    members: watch::Sender<Arc<BTreeSet<EdgeName>>>,
    /// Held while they are read and announced: what was read later is announced later.
    reloading: Arc<Mutex<()>>,
}

impl Fleet {
    /// Reads them from the database.
    pub(crate) async fn open(database: Database) -> Result<Self, StoreError> {
        let members = read(&database).await?;
        Ok(Self { database, members: watch::Sender::new(Arc::new(members)), reloading: Arc::default() })
    }

    /// The members, now and from now on.
    pub(crate) fn members(&self) -> watch::Receiver<Arc<BTreeSet<EdgeName>>> {
        self.members.subscribe()
    }

    /// Reads them again. Call it after every write that may change them.
    pub(crate) async fn reload(&self) -> Result<(), StoreError> {
        let _reloading = self.reloading.lock().await;
        let members = read(&self.database).await?;
        self.members.send_if_modified(|before| {
            let has_changed = **before != members;
            *before = Arc::new(members);
            has_changed
        });
        Ok(())
    }
}

async fn read(database: &Database) -> Result<BTreeSet<EdgeName>, StoreError> {
    let configured = database.edges().await?;
    let mut members: BTreeSet<EdgeName> = database.edges_with_token().await?.into_iter().collect();
    members.extend(configured.keys().cloned());
    members.retain(|name| configured.get(name).is_none_or(|state| state.force != Force::Down));
    Ok(members)
}
