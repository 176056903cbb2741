//! The table `state`, which edges and name servers follow.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Any, Executor, Transaction};
use verge_protocol::Seq;
use verge_protocol::state::{Key, Row};

use super::column_values;
use super::database::{self, Database};
use super::error::StoreError;

impl Database {
    /// The rows written after `since`, in order, as of one moment: every write leaves a row, so the last row has the sequence number of
    /// that moment.
    pub(crate) async fn rows(&self, since: Seq) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<(String, i64, Option<String>)> =
            sqlx::query_as("select key, seq, value from state where seq > $1 order by seq")
                .bind(column_values::signed(since.0))
                .fetch_all(self.read())
                .await?;
        rows.into_iter()
            .map(|(key, seq, value)| {
                let value = value.map(|text| column_values::parse_json("state value", &text)).transpose()?;
                Ok(Row { key, seq: Seq(column_values::unsigned("sequence number", seq)?), value })
            })
            .collect()
    }

    /// Tombstones up to this sequence number were deleted.
    pub(crate) async fn floor(&self) -> Result<Seq, StoreError> {
        let (floor,): (i64,) = sqlx::query_as("select floor from counter").fetch_one(self.read()).await?;
        Ok(Seq(column_values::unsigned("tombstone floor", floor)?))
    }
}

/// Every value whose key is `<kind>/<name>`, by name.
pub(super) async fn all<'e, N, T>(
    executor: impl Executor<'e, Database = Any>,
    kind: &'static str,
) -> Result<BTreeMap<N, T>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    let rows = sqlx::query_as("select key, value from state where key like $1 and value is not null")
        .bind(format!("{kind}/%"))
        .fetch_all(executor)
        .await?;
    by_name(kind, &rows)
}

/// Every value whose key is `<kind>/<name>` with a name from `first` to `last`, by name.
pub(super) async fn between<'e, N, T>(
    executor: impl Executor<'e, Database = Any>,
    kind: &'static str,
    first: &str,
    last: &str,
) -> Result<BTreeMap<N, T>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    let rows = sqlx::query_as("select key, value from state where key >= $1 and key <= $2 and value is not null")
        .bind(format!("{kind}/{first}"))
        .bind(format!("{kind}/{last}"))
        .fetch_all(executor)
        .await?;
    by_name(kind, &rows)
}

fn by_name<N, T>(kind: &'static str, rows: &[(String, String)]) -> Result<BTreeMap<N, T>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    rows.iter()
        .map(|(key, value)| {
            let name = key.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
            Ok((column_values::parse(kind, name)?, column_values::parse_json("state value", value)?))
        })
        .collect()
}

/// The value of `key`, if it has one.
pub(super) async fn get<'e, T: DeserializeOwned>(
    executor: impl Executor<'e, Database = Any>,
    key: &Key,
) -> Result<Option<T>, StoreError> {
    let row: Option<(String,)> = sqlx::query_as("select value from state where key = $1 and value is not null")
        .bind(key.to_string())
        .fetch_optional(executor)
        .await?;
    row.map(|(value,)| column_values::parse_json("state value", &value)).transpose()
}

/// Sets the value of `key` (`None` leaves a tombstone), unless it is the same already. True if it was written. The transaction must
/// begin with [`database::lock`].
pub(super) async fn set(
    transaction: &mut Transaction<'static, Any>,
    key: &Key,
    value: Option<&impl Serialize>,
) -> Result<bool, StoreError> {
    let new = value.map(|value| serde_json::to_value(value).expect("plain data serializes"));
    if get::<Value>(&mut **transaction, key).await? == new {
        return Ok(false);
    }
    let position = database::advance(transaction).await?;
    write(transaction, key, position.seq, new.map(|value| value.to_string())).await?;
    Ok(true)
}

/// Sets the value of `key` as of `seq`.
pub(super) async fn put(
    transaction: &mut Transaction<'static, Any>,
    key: &Key,
    seq: Seq,
    value: &impl Serialize,
) -> Result<(), StoreError> {
    let value = serde_json::to_string(value).expect("plain data serializes");
    write(transaction, key, seq, Some(value)).await
}

async fn write(
    transaction: &mut Transaction<'static, Any>,
    key: &Key,
    seq: Seq,
    value: Option<String>,
) -> Result<(), StoreError> {
    sqlx::query(
        "insert into state (key, seq, value) values ($1, $2, $3) \
         on conflict (key) do update set seq = excluded.seq, value = excluded.value",
    )
    .bind(key.to_string())
    .bind(column_values::signed(seq.0))
    .bind(value)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
