//! The last rows of the state, read once for all subscriptions that wait for them.

use std::sync::Arc;

use tokio::sync::Mutex;
use verge_protocol::state::Row;
use verge_protocol::{Checkpoint, Position, Seq};

use crate::store::{Database, StateRows, StoreError};

/// A longer read is not kept, and each subscription reads for itself, one after the other: few are so far behind, since hardly a transaction
/// writes so many rows (an erasure takes several, see [`Database::erase`]).
const KEPT_ROWS_MAX: usize = 1000;

/// The last read of the state. Of a thousand subscriptions that are woken by a write, one reads the database, and the others take what
/// it has read. Clones share it.
#[derive(Clone, Default)]
pub(super) struct RecentRows(Arc<Mutex<Option<Arc<Read>>>>);

/// The rows that were written after one write, as of one moment.
pub(super) struct Read {
    since: Seq,
    read: StateRows,
}

impl Read {
    /// The last write.
    pub(super) fn at(&self) -> Checkpoint {
        self.read.at
    }

    /// The sound rows that were written after `since`, each with the checkpoint after it, in order.
    pub(super) fn rows_after(&self, since: Seq) -> impl Iterator<Item = &(Row, Checkpoint)> {
        let rows = &self.read.rows;
        rows[rows.partition_point(|(row, _)| row.seq <= since)..].iter()
    }

    /// Whether it has all rows after `since`, those up to `committed` among them.
    fn covers(&self, since: Seq, committed: Position) -> bool {
        let at = self.read.at.position;
        self.since <= since && since <= at.seq && committed <= at
    }
}

impl RecentRows {
    /// A read of all rows after `since`, up to `committed` at least. Its other rows do not concern the caller.
    pub(super) async fn read(
        &self,
        database: &Database,
        since: Seq,
        committed: Position,
    ) -> Result<Arc<Read>, StoreError> {
        let mut last = self.0.lock().await;
        if let Some(read) = last.as_ref().filter(|read| read.covers(since, committed)) {
            return Ok(Arc::clone(read));
        }
        let read = Arc::new(Read { since, read: database.rows(since).await? });
        read.read.log_damage();
        *last = Some(Arc::clone(&read)).filter(|read| read.read.rows.len() <= KEPT_ROWS_MAX);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::{EdgeName, Timestamp};

    use super::*;

    struct Table {
        database: Database,
        recent: RecentRows,
        _folder: tempfile::TempDir,
    }

    impl Table {
        async fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let database = Database::open(&folder.path().join("origin.db"), Timestamp(1000)).await.unwrap();
            Self { database, recent: RecentRows::default(), _folder: folder }
        }

        /// Deletes keys that were never written, each by a write of its own.
        async fn write(&self, names: &[&str]) -> Position {
            for name in names {
                self.database.remove_orphans(&[format!("edge/{name}")]).await.unwrap();
            }
            self.database.position().await.unwrap()
        }

        /// The keys after `since`, and which read they are from.
        async fn keys(&self, since: u64, committed: Position) -> (Vec<EdgeName>, Arc<Read>) {
            let read = self.recent.read(&self.database, Seq(since), committed).await.unwrap();
            let name = |(row, _): &(Row, Checkpoint)| row.key.strip_prefix("edge/").unwrap().parse().unwrap();
            (read.rows_after(Seq(since)).map(name).collect(), read)
        }
    }

    fn names(names: &[&str]) -> Vec<EdgeName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[tokio::test]
    async fn subscriptions_at_or_after_the_start_of_a_read_share_it_until_the_next_write() {
        let table = Table::new().await;
        let first = table.write(&["a", "b"]).await;
        let (keys, read) = table.keys(0, first).await;
        assert_eq!(keys, names(&["a", "b"]));
        for (since, expected) in [(0, vec!["a", "b"]), (1, vec!["b"]), (2, vec![])] {
            let (keys, again) = table.keys(since, first).await;
            assert_eq!((keys, Arc::ptr_eq(&read, &again)), (names(&expected), true), "since {since}");
        }
        let second = table.write(&["c"]).await;
        let (keys, newer) = table.keys(2, second).await;
        assert_eq!((keys, Arc::ptr_eq(&read, &newer)), (names(&["c"]), false));
        assert_eq!(
            table.keys(1, second).await.0,
            names(&["b", "c"]),
            "a subscription behind the kept read reads for itself"
        );
        assert_eq!(table.keys(2, second).await.0, names(&["c"]), "a longer read serves it too");
    }

    #[tokio::test]
    async fn subscription_ahead_of_the_kept_read_is_not_sent_back() {
        let table = Table::new().await;
        let first = table.write(&["a"]).await;
        table.keys(0, first).await;
        // It has read this write at its start, before the write was announced.
        table.write(&["b"]).await;
        let (keys, read) = table.keys(2, first).await;
        assert_eq!((keys, read.at().position.seq), (names(&[]), Seq(2)));
    }

    #[tokio::test]
    async fn read_of_an_earlier_generation_is_replaced() {
        let table = Table::new().await;
        let first = table.write(&["a"]).await;
        table.keys(0, first).await;
        let seen = Checkpoint { position: Position { seq: Seq(9), ..first }, ..Checkpoint::default() };
        table.database.diverge(seen, "edge fra-1", Timestamp(9_000_000)).await.unwrap();
        let now = table.database.position().await.unwrap();
        assert!(now.generation > first.generation && now.seq == first.seq);
        assert_eq!(table.keys(1, now).await.1.at().position, now);
    }

    #[tokio::test]
    async fn long_read_is_not_kept() {
        let table = Table::new().await;
        let keys: Vec<String> = (0..=KEPT_ROWS_MAX).map(|number| format!("edge/e{number}")).collect();
        table.database.remove_orphans(&keys).await.unwrap();
        let now = table.database.position().await.unwrap();
        let (keys, read) = table.keys(0, now).await;
        assert_eq!(keys.len(), KEPT_ROWS_MAX + 1);
        assert!(!Arc::ptr_eq(&read, &table.keys(0, now).await.1));
        assert!(Arc::ptr_eq(&table.keys(1, now).await.1, &table.keys(2, now).await.1));
    }
}
