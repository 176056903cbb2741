//! Access tokens, by digest.

use verge_protocol::api::TokenOwner;
use verge_protocol::{Digest, EdgeName, Timestamp};

use super::database::Database;
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, secrets};

/// The values of the columns `edge` and `name_server`.
pub(super) fn columns(owner: &TokenOwner) -> (Option<&str>, Option<&str>) {
    match owner {
        TokenOwner::Admin => (None, None),
        TokenOwner::Edge(edge) => (Some(edge.as_str()), None),
        TokenOwner::NameServer(name) => (None, Some(name.as_str())),
    }
}

/// The owner with these values.
pub(super) fn owner(edge: Option<&str>, name_server: Option<&str>) -> Result<TokenOwner, StoreError> {
    Ok(match (edge, name_server) {
        (Some(edge), _) => TokenOwner::Edge(column_values::parse("edge name", edge)?),
        (None, Some(name)) => TokenOwner::NameServer(column_values::parse("name server name", name)?),
        (None, None) => TokenOwner::Admin,
    })
}

/// Stores the digest of a token in place of the owner's earlier one. An edge is unbound from its public key.
pub(super) async fn replace(
    transaction: &mut WriteTransaction,
    digest: Digest,
    owner: &TokenOwner,
    now: Timestamp,
) -> Result<(), StoreError> {
    let (edge, name_server) = columns(owner);
    let delete = match owner {
        TokenOwner::Admin => sqlx::query("delete from token where edge is null and name_server is null"),
        TokenOwner::Edge(_) => sqlx::query("delete from token where edge = $1").bind(edge),
        TokenOwner::NameServer(_) => sqlx::query("delete from token where name_server = $1").bind(name_server),
    };
    delete.execute(&mut **transaction).await?;
    if let TokenOwner::Edge(edge) = owner {
        secrets::unbind_edge_key(transaction, edge).await?;
    }
    sqlx::query(
        "insert into token (digest, edge, name_server, created) values ($1, $2, $3, $4) \
         on conflict (digest) do nothing",
    )
    .bind(digest.to_string())
    .bind(edge)
    .bind(name_server)
    .bind(column_values::signed(now.0))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

impl Database {
    /// Stores the digest of a token. It replaces the owner's earlier token, which stops working. An edge is unbound from its public key: it
    /// joins anew.
    pub(crate) async fn put_token(&self, digest: Digest, owner: &TokenOwner, now: Timestamp) -> Result<(), StoreError> {
        self.known_digests.add(digest);
        let mut transaction = self.begin().await?;
        replace(&mut transaction, digest, owner, now).await?;
        transaction.commit().await?;
        Ok(())
    }

    /// The owner of a token; `None` if the token is unknown, in most cases without a query.
    pub(crate) async fn token_owner(&self, digest: Digest) -> Result<Option<TokenOwner>, StoreError> {
        if !self.known_digests.contains(&digest) {
            return Ok(None);
        }
        let row: Option<(Option<String>, Option<String>)> =
            sqlx::query_as("select edge, name_server from token where digest = $1")
                .bind(digest.to_string())
                .fetch_optional(self.read())
                .await?;
        row.map(|(edge, name_server)| owner(edge.as_deref(), name_server.as_deref())).transpose()
    }

    /// Every edge that has a token, by name.
    pub(crate) async fn edges_with_token(&self) -> Result<Vec<EdgeName>, StoreError> {
        let query = "select edge from token where edge is not null order by edge";
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, sqlx::query(query)).await?;
        let parse = |(name,): (String,)| column_values::parse("edge name", &name);
        Ok(column_values::sound_rows("token", rows, parse))
    }
}
