//! The database at one moment, read without changing anything.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use futures_util::TryStreamExt as _;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, Executor as _, SqliteConnection};

use super::row::{RawRow, Table};

/// How many errors of the database file are listed.
const FILE_ERRORS_MAX: u32 = 100;

/// A read transaction on a connection that cannot write.
pub(super) struct Snapshot {
    connection: SqliteConnection,
}

impl Snapshot {
    /// Opens the file beside the process that writes it, if there is one.
    ///
    /// A file system that is read-only, or full, has no room for the index of the write-ahead log. Without such a log the file is
    /// complete, and is read as one that does not change.
    pub(super) async fn open(file: &Path) -> anyhow::Result<Self> {
        let options = SqliteConnectOptions::new()
            .filename(file)
            .read_only(true)
            .busy_timeout(Duration::from_secs(10))
            .disable_statement_logging();
        let error = match Self::begin(&options).await {
            Ok(snapshot) => return Ok(snapshot),
            Err(error) => error,
        };
        let log = file.with_extension("db-wal");
        if std::fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
            let advice = "if it is on a read-only file system, copy it together with its `-wal` file to a writable one";
            return Err(error).context(advice);
        }
        Ok(Self::begin(&options.immutable(true)).await?)
    }

    async fn begin(options: &SqliteConnectOptions) -> Result<Self, sqlx::Error> {
        let mut connection = options.connect().await?;
        // The transaction begins with its first read.
        for statement in ["begin", "select count(*) from sqlite_schema"] {
            connection.execute(statement).await?;
        }
        Ok(Self { connection })
    }

    /// The migrations that were applied: version and checksum.
    pub(super) async fn migrations(&mut self) -> Result<Vec<(i64, Vec<u8>)>, sqlx::Error> {
        sqlx::query_as("select version, checksum from _sqlx_migrations order by version")
            .fetch_all(&mut self.connection)
            .await
    }

    /// What is wrong with the structure of the file: pages, tables, indexes.
    pub(super) async fn file_errors(&mut self) -> Result<Vec<String>, sqlx::Error> {
        let query = format!("pragma integrity_check({FILE_ERRORS_MAX})");
        let errors: Vec<(String,)> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut self.connection).await?;
        Ok(errors.into_iter().map(|(error,)| error).filter(|error| error != "ok").collect())
    }

    /// Which tables refer to rows of which tables that do not exist.
    pub(super) async fn broken_references(&mut self) -> Result<Vec<(String, String)>, sqlx::Error> {
        sqlx::query_as("select distinct \"table\", parent from pragma_foreign_key_check")
            .fetch_all(&mut self.connection)
            .await
    }

    /// The sites that rows of a table name, but that do not exist; without those that are no texts.
    pub(super) async fn unknown_sites(&mut self, table: &str) -> Result<Vec<String>, sqlx::Error> {
        let query = format!(
            "select distinct cast(site as blob) from \"{table}\" where typeof(site) = 'text' \
             and site not in (select name from site)"
        );
        let names: Vec<(Vec<u8>,)> = sqlx::query_as(AssertSqlSafe(query)).fetch_all(&mut self.connection).await?;
        Ok(names.into_iter().filter_map(|(name,)| String::from_utf8(name).ok()).collect())
    }

    /// Reads every row of a table, and returns their number. Rows before an error were visited.
    pub(super) async fn for_each(
        &mut self,
        table: &'static Table,
        mut visit: impl FnMut(RawRow),
    ) -> Result<u64, sqlx::Error> {
        let query = format!("select rowid, {} from {}", table.columns.join(", "), table.name);
        let mut rows = sqlx::query(AssertSqlSafe(query)).fetch(&mut self.connection);
        let mut count = 0;
        while let Some(row) = rows.try_next().await? {
            visit(RawRow::read(table, &row)?);
            count += 1;
        }
        Ok(count)
    }

    /// Ends the transaction.
    pub(super) async fn close(self) -> Result<(), sqlx::Error> {
        self.connection.close().await
    }
}
