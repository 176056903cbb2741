//! Access tokens, by digest.

use verge_protocol::{Digest, EdgeName, Timestamp};

use super::{Database, StoreError, column, signed};

impl Database {
    /// Keeps a token. Everybody has one: an earlier one stops working. `edge` is `None` for the administrator's.
    pub(crate) async fn put_token(
        &self,
        digest: Digest,
        edge: Option<&EdgeName>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let earlier = match edge {
            Some(edge) => sqlx::query("delete from token where edge = $1").bind(edge.as_str()),
            None => sqlx::query("delete from token where edge is null"),
        };
        earlier.execute(&mut *transaction).await?;
        sqlx::query("insert into token (digest, edge, created) values ($1, $2, $3) on conflict (digest) do nothing")
            .bind(digest.to_string())
            .bind(edge.map(EdgeName::as_str))
            .bind(signed(now.0))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Whose token it is: nobody's, the administrator's (`Some(None)`), or an edge's.
    pub(crate) async fn token(&self, digest: Digest) -> Result<Option<Option<EdgeName>>, StoreError> {
        let row: Option<(Option<String>,)> = sqlx::query_as("select edge from token where digest = $1")
            .bind(digest.to_string())
            .fetch_optional(self.read())
            .await?;
        row.map(|(edge,)| edge.map(|name| column("an edge name", &name)).transpose()).transpose()
    }

    /// Every edge that has a token, by name.
    pub(crate) async fn edges(&self) -> Result<Vec<EdgeName>, StoreError> {
        let rows: Vec<(String,)> = sqlx::query_as("select edge from token where edge is not null order by edge")
            .fetch_all(self.read())
            .await?;
        rows.iter().map(|(name,)| column("an edge name", name)).collect()
    }
}
