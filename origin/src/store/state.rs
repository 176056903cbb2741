//! The table that edges follow.

use sqlx::{Any, Transaction};
use verge_protocol::Seq;
use verge_protocol::state::{Key, Row};

use super::{Database, StoreError, json_column, signed, unsigned};

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

/// Gives `key` a value as of `seq`.
pub(super) async fn put(
    transaction: &mut Transaction<'static, Any>,
    key: &Key,
    seq: Seq,
    value: &impl serde::Serialize,
) -> Result<(), StoreError> {
    let value = serde_json::to_string(value).expect("plain data serializes");
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
