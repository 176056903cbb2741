//! Transactions that write.

use std::ops::{Deref, DerefMut};

use sqlx::pool::PoolConnection;
use sqlx::{Any, AnyConnection};

use super::error::StoreError;

/// A transaction that is committed, or else leaves nothing behind.
///
/// Begins and commits by plain statements. A database may roll back without a command, as SQLite does when the disk is full, and a connection
/// that counts transactions would then believe it is still inside one: later commits would be acknowledged and lost. So a connection
/// goes back to the pool only after a commit or a rollback that the database has confirmed, and is closed otherwise.
pub(super) struct WriteTransaction {
    connection: PoolConnection<Any>,
    is_finished: bool,
}

impl WriteTransaction {
    /// Begins a transaction.
    pub(super) async fn begin(connection: PoolConnection<Any>) -> Result<Self, StoreError> {
        let mut transaction = Self { connection, is_finished: false };
        sqlx::query("begin").execute(&mut *transaction).await?;
        Ok(transaction)
    }

    /// Commits. After an error the writes may or may not survive; they are not visible to this process.
    pub(super) async fn commit(self) -> Result<(), StoreError> {
        // Outside a transaction this fails: a rollback that went unnoticed is not taken for a commit.
        self.finish("commit").await
    }

    /// Undoes all writes.
    pub(super) async fn rollback(self) -> Result<(), StoreError> {
        self.finish("rollback").await
    }

    async fn finish(mut self, statement: &'static str) -> Result<(), StoreError> {
        sqlx::query(statement).execute(&mut *self).await?;
        self.is_finished = true;
        Ok(())
    }
}

impl Drop for WriteTransaction {
    fn drop(&mut self) {
        if !self.is_finished {
            self.connection.close_on_drop();
        }
    }
}

impl Deref for WriteTransaction {
    type Target = AnyConnection;

    fn deref(&self) -> &AnyConnection {
        &self.connection
    }
}

impl DerefMut for WriteTransaction {
    fn deref_mut(&mut self) -> &mut AnyConnection {
        &mut self.connection
    }
}
