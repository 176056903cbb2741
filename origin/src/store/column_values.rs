//! Reading and writing columns. Only this program writes them, so a value that does not parse is corruption
//! ([`StoreError::Malformed`]). A list is read without the rows that have one ([`sound_rows`]): they must not hide the others.

use std::str::FromStr;

use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use sqlx::any::{AnyArguments, AnyRow};
use sqlx::query::Query;
use sqlx::{Any, AnyConnection, FromRow};
use verge_daemon::error_chain;

use super::error::StoreError;

/// Parses a text column.
pub(super) fn parse<T: FromStr>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// Parses a text column that holds JSON.
pub(super) fn parse_json<T: DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// Reads an integer column that is never negative.
pub(super) fn unsigned(what: &'static str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Malformed { what, text: number.to_string() })
}

/// The value of an integer column. SQL integers are signed; the numbers stored stay far below the limit.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A row of a query, or why it cannot be decoded: a text that is not UTF-8, for example.
pub(super) type FetchedRow = sqlx::Result<AnyRow>;

/// All rows of a query. One that cannot be decoded does not end it, as it does where a query runs on a pool.
pub(super) async fn fetch_all(
    connection: &mut AnyConnection,
    query: Query<'_, Any, AnyArguments>,
) -> Result<Vec<FetchedRow>, StoreError> {
    let (mut rows, mut fetched) = (query.fetch(connection), Vec::new());
    while let Some(row) = rows.next().await {
        match row {
            Err(error) if !is_undecodable(&error) => return Err(error.into()),
            row => fetched.push(row),
        }
    }
    Ok(fetched)
}

/// Whether a query failed because of the values of a row, not because of the database.
pub(super) fn is_undecodable(error: &sqlx::Error) -> bool {
    matches!(error, sqlx::Error::Decode(_) | sqlx::Error::ColumnDecode { .. } | sqlx::Error::AnyDriverError(_))
}

/// Decodes and parses the rows of `table`. Rows for which that fails are logged and left out.
pub(super) fn sound_rows<Columns, T>(
    table: &'static str,
    rows: Vec<FetchedRow>,
    parse: impl Fn(Columns) -> Result<T, StoreError>,
) -> Vec<T>
where
    Columns: for<'row> FromRow<'row, AnyRow>,
{
    let decode = |row: FetchedRow| parse(Columns::from_row(&row?)?);
    rows.into_iter().filter_map(|row| log_unreadable(table, decode(row))).collect()
}

/// What a row of `table` holds; if it cannot be read, logs why.
pub(super) fn log_unreadable<T>(table: &'static str, row: Result<T, StoreError>) -> Option<T> {
    row.inspect_err(|error| tracing::error!(table, error = error_chain(error), "unreadable row: left out")).ok()
}
