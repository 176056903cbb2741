//! The table `state`, which edges and name servers follow.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, AssertSqlSafe, FromRow as _, Row as _};
use verge_protocol::state::{Key, Row};
use verge_protocol::{Checkpoint, History, Json, Position, Seq};

use super::column_values::{self, FetchedRow};
use super::database::{self, Database};
use super::error::StoreError;
use super::history;
use super::write_transaction::WriteTransaction;

/// Rows of the table, as of one moment.
pub(crate) struct StateRows {
    /// The sound rows, each with the checkpoint after it, in order.
    pub(crate) rows: Vec<(Row, Checkpoint)>,
    /// The rows that do not match their checksum, or are no JSON.
    pub(crate) damaged: Vec<DamagedRow>,
    /// The last write.
    pub(crate) at: Checkpoint,
}

impl StateRows {
    /// Logs the damaged rows.
    pub(crate) fn log_damage(&self) {
        for DamagedRow { key, seq, reason } in &self.damaged {
            tracing::error!(key, seq = seq.0, reason, "damaged row: left out of the feed");
        }
    }
}

/// A row that cannot be relied on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DamagedRow {
    pub(crate) key: String,
    pub(crate) seq: Seq,
    pub(crate) reason: &'static str,
}

impl Database {
    /// The last write, and the rows written after `since`.
    pub(crate) async fn rows(&self, since: Seq) -> Result<StateRows, StoreError> {
        let mut snapshot = self.read().begin().await?;
        let (generation, seq): (i64, i64) =
            sqlx::query_as("select generation, seq from counter").fetch_one(&mut *snapshot).await?;
        let position = database::position(generation, seq)?;
        let history = history::after(&mut snapshot, position.seq).await?.unwrap_or_default();
        let query = format!("{SELECT} where s.seq > $1 order by s.seq");
        let query = sqlx::query(AssertSqlSafe(query)).bind(column_values::signed(since.0));
        let read = column_values::fetch_all(&mut snapshot, query).await?;
        let (mut rows, mut damaged) = (Vec::new(), Vec::new());
        for row in read.iter().flatten() {
            match check(row) {
                Ok((row, history)) => {
                    let at = Checkpoint { position: Position { seq: row.seq, ..position }, history };
                    rows.push((row, at));
                }
                Err(row) => damaged.push(row),
            }
        }
        if read.iter().any(Result::is_err) {
            let others = undecodable(&mut snapshot, since, &rows, &damaged).await?;
            damaged.extend(others);
        }
        snapshot.rollback().await?;
        Ok(StateRows { rows, damaged, at: Checkpoint { position, history } })
    }
}

impl Database {
    /// Writes a tombstone for each key that has no row, in one transaction. Returns these keys: the others are no orphans.
    pub(crate) async fn remove_orphans(&self, keys: &[String]) -> Result<Vec<String>, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let mut removed = Vec::new();
        for key in keys {
            if !has_row(&mut transaction, key).await? {
                let position = database::advance(&mut transaction).await?;
                write(&mut transaction, key, position.seq, None).await?;
                removed.push(key.clone());
            }
        }
        transaction.commit().await?;
        Ok(removed)
    }

    /// The keys that have no row, neither a value nor a tombstone.
    pub(crate) async fn without_row(&self, keys: BTreeSet<String>) -> Result<Vec<String>, StoreError> {
        let mut connection = self.read_connection().await?;
        let mut without = Vec::new();
        for key in keys {
            if !has_row(&mut connection, &key).await? {
                without.push(key);
            }
        }
        Ok(without)
    }
}

async fn has_row(connection: &mut AnyConnection, key: &str) -> Result<bool, StoreError> {
    let row: Option<(i64,)> = sqlx::query_as("select count(*) from state where key = $1 having count(*) > 0")
        .bind(key)
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}

/// The rows after `since` that are not among the decoded `rows` and `damaged` ones, by what can be decoded of them.
async fn undecodable(
    connection: &mut AnyConnection,
    since: Seq,
    rows: &[(Row, Checkpoint)],
    damaged: &[DamagedRow],
) -> Result<Vec<DamagedRow>, StoreError> {
    let query = sqlx::query("select seq, key from state where seq > $1").bind(column_values::signed(since.0));
    let keys = column_values::fetch_all(connection, query).await?;
    let decoded = rows.iter().map(|(row, _)| row.key.as_str());
    let decoded: BTreeSet<&str> = decoded.chain(damaged.iter().map(|row| row.key.as_str())).collect();
    let reason = "it cannot be decoded";
    let named = |row: FetchedRow| match row.and_then(|row| <(i64, String)>::from_row(&row)) {
        Ok((_, key)) if decoded.contains(key.as_str()) => None,
        Ok((seq, key)) => Some(DamagedRow { key, seq: Seq(seq.unsigned_abs()), reason }),
        Err(_) => Some(DamagedRow { key: "(unreadable key)".to_owned(), seq: Seq::default(), reason }),
    };
    Ok(keys.into_iter().filter_map(named).collect())
}

/// Reads rows with what they are checked by.
const SELECT: &str = "select s.key, s.seq, s.value, h.digest, b.digest from state s \
                      left join history h on h.seq = s.seq left join history b on b.seq = s.seq - 1";

/// Key, sequence number, value, the history after the write, and the history before it.
type Columns = (String, i64, Option<String>, Option<String>, Option<String>);

/// The row and the history after it, if what can be checked of it is right.
fn check(row: &AnyRow) -> Result<(Row, History), DamagedRow> {
    let (key, number, value, after, before) = Columns::from_row(row).map_err(|_| DamagedRow {
        key: row.try_get(0).unwrap_or_default(),
        seq: Seq(row.try_get(1).map(i64::unsigned_abs).unwrap_or_default()),
        reason: "it cannot be decoded",
    })?;
    let seq = Seq(u64::try_from(number).unwrap_or_default());
    let damaged = |reason| DamagedRow { key: key.clone(), seq, reason };
    let before = history::history(Seq(seq.0.saturating_sub(1)), before.as_deref());
    let after = history::history(seq, after.as_deref());
    if let (Some(before), Some(after)) = (before, after)
        && before.then(seq, &key, value.as_deref()) != after
    {
        return Err(damaged("it does not match its checksum"));
    }
    let value = value.as_deref().map(serde_json::from_str).transpose().map_err(|_| damaged("its value is no JSON"))?;
    Ok((Row { key, seq, value }, after.unwrap_or_default()))
}

/// The rows with a value whose key begins with `<kind>/`, in the order of their writes. Damaged ones are logged and left out.
pub(super) async fn rows_of(connection: &mut AnyConnection, kind: &str) -> Result<Vec<Row>, StoreError> {
    // The character after `/` is `0`.
    let query = format!("{SELECT} where s.key >= $1 and s.key < $2 and s.value is not null order by s.seq");
    let query = sqlx::query(AssertSqlSafe(query)).bind(format!("{kind}/")).bind(format!("{kind}0"));
    Ok(sound_rows(column_values::fetch_all(connection, query).await?))
}

/// The keys that begin with `<prefix>/` and have a value, damaged or not, in order.
pub(super) async fn keys_of(connection: &mut AnyConnection, prefix: &str) -> Result<Vec<Key>, StoreError> {
    let query = sqlx::query(KEYS_OF).bind(format!("{prefix}/")).bind(format!("{prefix}0"));
    let rows = column_values::fetch_all(connection, query).await?;
    Ok(column_values::sound_rows("state", rows, |(key,): (String,)| column_values::parse("key", &key)))
}

/// The character after `/` is `0`.
const KEYS_OF: &str = "select key from state where key >= $1 and key < $2 and value is not null order by key";

/// Every value whose key is `<kind>/<name>`, by name.
pub(super) async fn all<N, T>(connection: &mut AnyConnection, kind: &'static str) -> Result<BTreeMap<N, T>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    Ok(without_seq(all_written(connection, kind).await?))
}

/// Every value whose key is `<kind>/<name>`, by name, with the write that made it.
pub(super) async fn all_written<N, T>(
    connection: &mut AnyConnection,
    kind: &'static str,
) -> Result<BTreeMap<N, (Seq, T)>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    Ok(by_name(kind, rows_of(connection, kind).await?))
}

/// Every value whose key is `<kind>/<name>` with a name from `first` to `last`, by name.
pub(super) async fn between<N, T>(
    connection: &mut AnyConnection,
    kind: &'static str,
    first: &str,
    last: &str,
) -> Result<BTreeMap<N, T>, StoreError>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    let query = format!("{SELECT} where s.key >= $1 and s.key <= $2 and s.value is not null");
    let query = sqlx::query(AssertSqlSafe(query)).bind(format!("{kind}/{first}")).bind(format!("{kind}/{last}"));
    Ok(without_seq(by_name(kind, sound_rows(column_values::fetch_all(connection, query).await?))))
}

fn without_seq<N: Ord, T>(written: BTreeMap<N, (Seq, T)>) -> BTreeMap<N, T> {
    written.into_iter().map(|(name, (_, value))| (name, value)).collect()
}

fn by_name<N, T>(kind: &'static str, rows: Vec<Row>) -> BTreeMap<N, (Seq, T)>
where
    N: FromStr + Ord,
    T: DeserializeOwned,
{
    let parse = |Row { key, seq, value }: Row| {
        let name = key.strip_prefix(kind).and_then(|rest| rest.strip_prefix('/')).unwrap_or_default();
        Ok((column_values::parse(kind, name)?, (seq, read(&value.unwrap_or_else(|| Value::Null.into()))?)))
    };
    rows.into_iter().filter_map(|row| column_values::log_unreadable("state", parse(row))).collect()
}

/// The rows that can be relied on. The others are logged.
fn sound_rows(rows: Vec<FetchedRow>) -> Vec<Row> {
    rows.into_iter().filter_map(|row| column_values::log_unreadable("state", sound(row))).collect()
}

/// The row, if it can be relied on.
fn sound(row: FetchedRow) -> Result<Row, StoreError> {
    let malformed = |reason: &str| StoreError::Malformed { what: "state value", text: reason.to_owned() };
    let row = row
        .map_err(|error| if column_values::is_undecodable(&error) { malformed("not a text") } else { error.into() })?;
    check(&row).map(|(row, _)| row).map_err(|row| malformed(row.reason))
}

fn read<T: DeserializeOwned>(value: &Json) -> Result<T, StoreError> {
    value.read().map_err(|_| StoreError::Malformed { what: "state value", text: value.as_str().to_owned() })
}

/// The value of `key`, if it has one. [`StoreError::Malformed`] if its row is damaged.
pub(super) async fn get<T: DeserializeOwned>(
    connection: &mut AnyConnection,
    key: &Key,
) -> Result<Option<T>, StoreError> {
    let query = format!("{SELECT} where s.key = $1");
    let query = sqlx::query(AssertSqlSafe(query)).bind(key.to_string());
    let row = column_values::fetch_all(connection, query).await?.pop().map(sound).transpose()?;
    row.and_then(|row| row.value).map(|value| read(&value)).transpose()
}

/// Sets the value of `key` (`None` leaves a tombstone), unless it is the same already. True if it was written. The transaction must
/// begin with [`database::lock`].
pub(super) async fn set(
    transaction: &mut WriteTransaction,
    key: &Key,
    value: Option<&impl Serialize>,
) -> Result<bool, StoreError> {
    let new = value.map(|value| serde_json::to_value(value).expect("plain data serializes"));
    match get::<Value>(transaction, key).await {
        Ok(old) if old == new => return Ok(false),
        // A damaged value is replaced.
        Ok(_) | Err(StoreError::Malformed { .. }) => {}
        Err(error) => return Err(error),
    }
    let position = database::advance(transaction).await?;
    write(transaction, &key.to_string(), position.seq, new.map(|value| value.to_string())).await?;
    Ok(true)
}

/// Sets the value of `key` with the next sequence number, whatever its row holds.
pub(super) async fn rewrite(
    transaction: &mut WriteTransaction,
    key: &Key,
    value: Option<&impl Serialize>,
) -> Result<(), StoreError> {
    let position = database::advance(transaction).await?;
    let value = value.map(|value| serde_json::to_string(value).expect("plain data serializes"));
    write(transaction, &key.to_string(), position.seq, value).await
}

/// Sets the value of `key` as of `seq`.
pub(super) async fn put(
    transaction: &mut WriteTransaction,
    key: &Key,
    seq: Seq,
    value: &impl Serialize,
) -> Result<(), StoreError> {
    let value = serde_json::to_string(value).expect("plain data serializes");
    write(transaction, &key.to_string(), seq, Some(value)).await
}

/// Leaves a tombstone for `key` as of `seq`.
pub(super) async fn delete(transaction: &mut WriteTransaction, key: &Key, seq: Seq) -> Result<(), StoreError> {
    write(transaction, &key.to_string(), seq, None).await
}

async fn write(
    transaction: &mut WriteTransaction,
    key: &str,
    seq: Seq,
    value: Option<String>,
) -> Result<(), StoreError> {
    history::append(transaction, seq, key, value.as_deref()).await?;
    sqlx::query(
        "insert into state (key, seq, value) values ($1, $2, $3) \
         on conflict (key) do update set seq = excluded.seq, value = excluded.value",
    )
    .bind(key)
    .bind(column_values::signed(seq.0))
    .bind(value)
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use verge_protocol::Timestamp;

    use super::*;

    #[tokio::test]
    async fn keys_with_a_prefix_are_read_by_the_index_and_have_values() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let mut transaction = database.begin().await.unwrap();
        for key in ["channel/demo/b", "channel/demo/a", "channel/demo-2/a", "channel/demo2/a", "rollout/demo/a"] {
            rewrite(&mut transaction, &key.parse().unwrap(), Some(&"any value")).await.unwrap();
        }
        rewrite(&mut transaction, &"channel/demo/c".parse().unwrap(), None::<&()>).await.unwrap();
        let keys = keys_of(&mut transaction, "channel/demo").await.unwrap();
        assert_eq!(keys.iter().map(Key::to_string).collect::<Vec<_>>(), ["channel/demo/a", "channel/demo/b"]);
        let plan = format!("explain query plan {KEYS_OF}");
        let plan = sqlx::query(AssertSqlSafe(plan)).bind("a/").bind("a0").fetch_one(&mut *transaction).await.unwrap();
        let plan: String = plan.get("detail");
        assert!(plan.starts_with("SEARCH state USING INDEX"), "{plan}");
        transaction.rollback().await.unwrap();
        database.close().await;
    }
}
