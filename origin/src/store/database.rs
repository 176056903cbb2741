//! Connections to the database, and the counter that orders its writes.

use std::path::Path;
use std::time::Duration;

use sqlx::any::AnyPoolOptions;
use sqlx::migrate::Migrator;
use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyPool};
use verge_protocol::{Generation, Position, Seq, Timestamp};

use super::column_values;
use super::error::StoreError;
use super::known_digests::KnownDigests;
use super::write_transaction::WriteTransaction;

static MIGRATOR: Migrator = sqlx::migrate!();

/// The migrations of this program: version and checksum, in order.
pub(crate) fn migrations() -> Vec<(i64, Vec<u8>)> {
    MIGRATOR.iter().map(|migration| (migration.version, migration.checksum.to_vec())).collect()
}

/// The metadata. Clones share the connections.
///
/// All writes use one connection: SQLite allows one writer, and waiting for a pooled connection is fair where polling a lock is
/// not.
#[derive(Clone)]
pub(crate) struct Database {
    read: AnyPool,
    write: AnyPool,
    pub(super) known_digests: KnownDigests,
}

impl Database {
    /// Opens the SQLite file, creating it if necessary, and migrates its schema.
    ///
    /// A new database takes the time as its generation, so that a database created in place of another is never mistaken for it.
    pub(crate) async fn open(file: &Path, now: Timestamp) -> Result<Self, StoreError> {
        sqlx::any::install_default_drivers();
        let url = format!("sqlite://{}?mode=rwc", url_escaped(file));
        let pool = |connections| {
            // An idle connection to a file does not break. (It is tested when it is returned.) Another test costs as much as a short query.
            let options = AnyPoolOptions::new().max_connections(connections).test_before_acquire(false);
            options.acquire_timeout(Duration::from_secs(30)).after_connect(|connection, _| {
                Box::pin(async move {
                    // Durable at commit (FULL), readers beside the writer (WAL).
                    for pragma in [
                        "pragma journal_mode = wal",
                        "pragma synchronous = full",
                        "pragma foreign_keys = on",
                        "pragma busy_timeout = 10000",
                    ] {
                        sqlx::query(pragma).execute(&mut *connection).await?;
                    }
                    Ok(())
                })
            })
        };
        let write = pool(1).connect(&url).await?;
        MIGRATOR.run(&write).await?;
        let read = pool(4).connect(&url).await?;
        let known_digests = KnownDigests::load(&read).await?;
        let database = Self { read, write, known_digests };
        database.choose_generation(now).await?;
        Ok(database)
    }

    /// Chooses the generation of a new database. Writes nothing to one that has a generation: the disk may be full.
    async fn choose_generation(&self, now: Timestamp) -> Result<(), StoreError> {
        if self.position().await?.generation == Generation(0) {
            let mut transaction = self.begin().await?;
            sqlx::query("update counter set generation = $1 where generation = 0")
                .bind(column_values::signed(now.0 / 1000).max(1))
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
        }
        Ok(())
    }

    /// Closes every connection.
    pub(crate) async fn close(&self) {
        self.read.close().await;
        self.write.close().await;
    }

    pub(super) fn read(&self) -> &AnyPool {
        &self.read
    }

    /// A connection for reading, for [`column_values::fetch_all`].
    pub(super) async fn read_connection(&self) -> Result<PoolConnection<Any>, StoreError> {
        Ok(self.read.acquire().await?)
    }

    /// Begins a transaction. Its first statement must write (see `counter` in the schema).
    pub(super) async fn begin(&self) -> Result<WriteTransaction, StoreError> {
        WriteTransaction::begin(self.write.acquire().await?).await
    }

    /// Writes and commits nothing new: an error tells that writes fail, and why.
    pub(crate) async fn check_write(&self) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        lock(&mut transaction).await?;
        transaction.commit().await
    }

    /// The position of the last committed write.
    pub(crate) async fn position(&self) -> Result<Position, StoreError> {
        let (generation, seq): (i64, i64) =
            sqlx::query_as("select generation, seq from counter").fetch_one(&self.read).await?;
        position(generation, seq)
    }
}

/// A path as part of a URL, with the characters escaped that would end it.
fn url_escaped(file: &Path) -> String {
    file.display().to_string().replace('%', "%25").replace('?', "%3F").replace('#', "%23")
}

/// Takes the write lock of `state` until the transaction ends, without taking a sequence number. The first statement of a
/// transaction that must read before it knows whether there is something to write; [`advance`] follows if there is.
pub(super) async fn lock(transaction: &mut WriteTransaction) -> Result<(), StoreError> {
    sqlx::query("update counter set seq = seq where id = 1").execute(&mut **transaction).await?;
    Ok(())
}

/// Takes the next sequence number. The first statement of every transaction that writes `state`, unless [`lock`] was.
pub(super) async fn advance(transaction: &mut WriteTransaction) -> Result<Position, StoreError> {
    let (generation, seq): (i64, i64) =
        sqlx::query_as("update counter set seq = seq + 1 where id = 1 returning generation, seq")
            .fetch_one(&mut **transaction)
            .await?;
    position(generation, seq)
}

pub(super) fn position(generation: i64, seq: i64) -> Result<Position, StoreError> {
    Ok(Position {
        generation: Generation(column_values::unsigned("generation", generation)?),
        seq: Seq(column_values::unsigned("sequence number", seq)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_opens_in_a_directory_of_any_name() {
        let directory = tempfile::tempdir().unwrap();
        for name in ["plain", "what?", "50%", "#1 & more", "ü"] {
            let inside = directory.path().join(name);
            std::fs::create_dir(&inside).unwrap();
            let database = Database::open(&inside.join("origin.db"), Timestamp(7000)).await.unwrap();
            assert_eq!(database.position().await.unwrap().to_string(), "7-0");
            database.close().await;
            let again = Database::open(&inside.join("origin.db"), Timestamp(9000)).await.unwrap();
            assert_eq!(again.position().await.unwrap().to_string(), "7-0", "a generation is chosen once");
            again.close().await;
            assert!(inside.join("origin.db").exists(), "{name}");
        }
    }
}
