//! Access tokens, by digest.

use verge_protocol::api::TokenOwner;
use verge_protocol::{Digest, EdgeName, NameServerName, Timestamp};

use super::database::Database;
use super::error::StoreError;
use super::{column_values, secrets};

/// The values of the columns `edge` and `name_server`.
fn columns(owner: &TokenOwner) -> (Option<&str>, Option<&str>) {
    match owner {
        TokenOwner::Admin => (None, None),
        TokenOwner::Edge(edge) => (Some(edge.as_str()), None),
        TokenOwner::NameServer(name) => (None, Some(name.as_str())),
    }
}

impl Database {
    /// Stores the digest of a token. It replaces the owner's earlier token, which stops working. An edge is unbound from its public key: it
    /// joins anew.
    pub(crate) async fn put_token(&self, digest: Digest, owner: &TokenOwner, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let (edge, name_server) = columns(owner);
        let delete = match owner {
            TokenOwner::Admin => sqlx::query("delete from token where edge is null and name_server is null"),
            TokenOwner::Edge(_) => sqlx::query("delete from token where edge = $1").bind(edge),
            TokenOwner::NameServer(_) => sqlx::query("delete from token where name_server = $1").bind(name_server),
        };
        delete.execute(&mut *transaction).await?;
        if let TokenOwner::Edge(edge) = owner {
            secrets::unbind_edge_key(&mut transaction, edge).await?;
        }
        sqlx::query(
            "insert into token (digest, edge, name_server, created) values ($1, $2, $3, $4) \
             on conflict (digest) do nothing",
        )
        .bind(digest.to_string())
        .bind(edge)
        .bind(name_server)
        .bind(column_values::signed(now.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The owner of a token; `None` if the token is unknown.
    pub(crate) async fn token_owner(&self, digest: Digest) -> Result<Option<TokenOwner>, StoreError> {
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("select edge, name_server from token where digest = $1")
                .bind(digest.to_string())
                .fetch_optional(self.read())
                .await?;
        row.map(|columns| match columns {
            (Some(edge), _) => Ok(TokenOwner::Edge(column_values::parse("edge name", &edge)?)),
            (None, Some(name)) => Ok(TokenOwner::NameServer(column_values::parse("name server name", &name)?)),
            (None, None) => Ok(TokenOwner::Admin),
        })
        .transpose()
    }

    /// Every name server that has a token, by name, and when the token was issued.
    pub(crate) async fn name_servers(&self) -> Result<Vec<(NameServerName, Timestamp)>, StoreError> {
        let query = "select name_server, created from token where name_server is not null order by name_server";
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, sqlx::query(query)).await?;
        let parse = |(name, issued): (String, i64)| {
            let name = column_values::parse("name server name", &name)?;
            Ok((name, Timestamp(column_values::unsigned("time", issued)?)))
        };
        Ok(column_values::sound_rows("token", rows, parse))
    }

    /// Deletes the token of a name server. True if it had one.
    pub(crate) async fn remove_name_server(&self, name: &NameServerName) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let removed = sqlx::query("delete from token where name_server = $1")
            .bind(name.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(removed.rows_affected() > 0)
    }

    /// Every edge that has a token, by name.
    pub(crate) async fn edges_with_token(&self) -> Result<Vec<EdgeName>, StoreError> {
        let query = "select edge from token where edge is not null order by edge";
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, sqlx::query(query)).await?;
        let parse = |(name,): (String,)| column_values::parse("edge name", &name);
        Ok(column_values::sound_rows("token", rows, parse))
    }
}
