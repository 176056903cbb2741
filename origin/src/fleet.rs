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

#[cfg(test)]
mod tests {
    use verge_daemon::Tasks;
    use verge_protocol::api::TokenOwner;
    use verge_protocol::{Digest, Timestamp};

    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn members_are_never_replaced_by_a_list_that_was_read_before() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let fleet = Fleet::open(database.clone()).await.unwrap();
        let tasks = Tasks::default();
        // While edges are added, others reload too.
        let reloading: Vec<_> = (0..3)
            .map(|_| {
                let (fleet, stopped) = (fleet.clone(), tasks.draining().clone());
                tasks.spawn("reload", async move {
                    while !stopped.is_cancelled() {
                        fleet.reload().await.unwrap();
                    }
                })
            })
            .collect();
        let mut members = fleet.members();
        let watching = tasks.spawn("watch", async move {
            let mut count = 0;
            while count < 100 {
                members.changed().await.unwrap();
                let now = members.borrow_and_update().len();
                assert!(now >= count, "{count} members, then {now}");
                count = now;
            }
        });
        for number in 0..100 {
            let edge: EdgeName = format!("edge-{number}").parse().unwrap();
            let digest = Digest::of(edge.as_str().as_bytes());
            database.put_token(digest, &TokenOwner::Edge(edge.clone()), Timestamp(1000)).await.unwrap();
            fleet.reload().await.unwrap();
            assert!(fleet.members().borrow().contains(&edge), "{edge}");
        }
        watching.await.unwrap();
        tasks.draining().cancel();
        for task in reloading {
            task.await.unwrap();
        }
        database.close().await;
    }
}
