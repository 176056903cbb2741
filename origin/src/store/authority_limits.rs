//! Rate limits of authorities.

use std::collections::BTreeMap;

use verge_protocol::Timestamp;

use super::column_values;
use super::database::Database;
use super::error::StoreError;

/// The last order that an authority refused because of a rate limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorityLimit {
    pub(crate) refused: Timestamp,
    /// When the first order in a row was refused.
    pub(crate) since: Timestamp,
    /// The authority has asked for no order before.
    pub(crate) retry_after: Timestamp,
    /// What it said.
    pub(crate) problem: String,
}

/// By URL of the authority.
pub(crate) type AuthorityLimits = BTreeMap<String, AuthorityLimit>;

type Columns = (String, i64, i64, i64, String);

fn from_columns(columns: Columns) -> Result<(String, AuthorityLimit), StoreError> {
    let (authority, refused, since, retry_after, problem) = columns;
    let time = |millis| Ok::<_, StoreError>(Timestamp(column_values::unsigned("time", millis)?));
    let limit =
        AuthorityLimit { refused: time(refused)?, since: time(since)?, retry_after: time(retry_after)?, problem };
    Ok((authority, limit))
}

impl Database {
    /// The last refusal of each authority that has refused an order.
    pub(crate) async fn authority_limits(&self) -> Result<AuthorityLimits, StoreError> {
        let query = sqlx::query("select authority, refused, since, retry_after, problem from authority_limit");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("authority_limit", rows, from_columns).into_iter().collect())
    }

    /// Records a refusal in place of an earlier one.
    pub(crate) async fn put_authority_limit(&self, authority: &str, limit: &AuthorityLimit) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "insert into authority_limit (authority, refused, since, retry_after, problem) values ($1, $2, $3, $4, $5) \
             on conflict (authority) do update set refused = excluded.refused, since = excluded.since, \
             retry_after = excluded.retry_after, problem = excluded.problem",
        )
        .bind(authority)
        .bind(column_values::signed(limit.refused.0))
        .bind(column_values::signed(limit.since.0))
        .bind(column_values::signed(limit.retry_after.0))
        .bind(limit.problem.as_str())
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    }
}
