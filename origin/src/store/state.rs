//! The table that edges and name servers follow.

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::{Any, Executor, Transaction};
use verge_protocol::Seq;
use verge_protocol::state::{Key, Row};

use super::{Database, StoreError, column, database, json_column, signed, unsigned};

impl Database {
    /// Rows written after `since`, in order, as of one moment. Each write leaves a row, so the last one says how far that moment is.
    pub(crate) async fn rows(&self, since: Seq) -> Result<Vec<Row>, StoreError> {
        let rows: Vec<(String, i64, Option<String>)> =
            sqlx::query_as("select key, seq, value from state where seq > $1 order by seq")
                .bind(signed(since.0))
                .fetch_all(self.read())
                .await?;
        rows.into_iter()
            .map(|(key, seq, value)| {
                let value = value.map(|text| json_column("a state value", &text)).transpose()?;
                Ok(Row { key, seq: Seq(unsigned("a sequence number", seq)?), value })
            })
            .collect()
    }

    /// Tombstones up to here are gone.
    pub(crate) async fn floor(&self) -> Result<Seq, StoreError> {
        let (floor,): (i64,) = sqlx::query_as("select floor from counter").fetch_one(self.read()).await?;
        Ok(Seq(unsigned("the tombstone floor", floor)?))
    }
}

/// Every value whose key is `kind/` and a name, by that name.
pub(super) async fn all<'e, N, T>(
    executor: impl Executor<'e, Database = Any>,
    kind: &'static str,
) -> Result<BTreeMap<N, T>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    let rows: Vec<(String, String)> =
        sqlx::query_as("select key, value from state where key like $1 and value is not null")
            .bind(format!("{kind}/%"))
            .fetch_all(executor)
            .await?;
    rows.iter()
        .map(|(key, value)| {
            let name = key.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
            Ok((column(kind, name)?, json_column("a state value", value)?))
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
    row.map(|(value,)| json_column("a state value", &value)).transpose()
}

/// Makes `key` have this value, or none; whether that had to be written. Where it is so already nothing is. The transaction has to
/// begin with [`database::lock`].
pub(super) async fn set(
    transaction: &mut Transaction<'static, Any>,
    key: &Key,
    value: Option<&impl Serialize>,
) -> Result<bool, StoreError> {
    let wanted = value.map(|value| serde_json::to_value(value).expect("plain data serializes"));
    if get::<Value>(&mut **transaction, key).await? == wanted {
        return Ok(false);
    }
    let position = database::advance(transaction).await?;
    write(transaction, key, position.seq, wanted.map(|value| value.to_string())).await?;
    Ok(true)
}

/// Gives `key` a value as of `seq`.
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
    .bind(signed(seq.0))
    .bind(value)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}
