//! Join codes, by the digest of their secret.

use sqlx::AnyConnection;
use verge_protocol::api::TokenOwner;
use verge_protocol::{Digest, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, secrets, tokens};

/// A join code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct JoinCodeRow {
    pub(crate) owner: TokenOwner,
    pub(crate) expires: Timestamp,
    /// When it was exchanged.
    pub(crate) used: Option<Timestamp>,
    /// The public key of the edge that exchanged it.
    pub(crate) public_key: Option<String>,
}

type Columns = (Option<String>, Option<String>, i64, Option<i64>, Option<String>);

impl Database {
    /// Stores a join code. It replaces an earlier one of the owner.
    pub(crate) async fn put_join_code(
        &self,
        secret: Digest,
        owner: &TokenOwner,
        expires: Timestamp,
    ) -> Result<(), StoreError> {
        self.known_digests.add(secret);
        let mut transaction = self.begin().await?;
        delete(&mut transaction, owner).await?;
        let (edge, name_server) = tokens::columns(owner);
        sqlx::query("insert into join_code (digest, edge, name_server, expires) values ($1, $2, $3, $4)")
            .bind(secret.to_string())
            .bind(edge)
            .bind(name_server)
            .bind(column_values::signed(expires.0))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// The join code with this digest. Of one that nobody made, that is known without a query.
    pub(crate) async fn join_code(&self, secret: Digest) -> Result<Option<JoinCodeRow>, StoreError> {
        if !self.known_digests.contains(&secret) {
            return Ok(None);
        }
        find(&mut *self.read_connection().await?, secret).await
    }

    /// Exchanges a join code for a token, in one transaction: `decide` names the owner, whose earlier token stops working, and whom the public
    /// key is bound to if it is an edge. An error of `decide` changes nothing.
    pub(crate) async fn exchange_join_code<E: From<StoreError>>(
        &self,
        secret: Digest,
        public_key: Option<&str>,
        token: Digest,
        now: Timestamp,
        decide: impl FnOnce(Option<JoinCodeRow>) -> Result<TokenOwner, E>,
    ) -> Result<TokenOwner, E> {
        self.known_digests.add(token);
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let owner = decide(find(&mut transaction, secret).await?)?;
        tokens::replace(&mut transaction, token, &owner, now).await?;
        if let (TokenOwner::Edge(edge), Some(key)) = (&owner, public_key) {
            secrets::rebind_edge_key(&mut transaction, edge, key, now).await?;
        }
        sqlx::query("update join_code set used = $2, public_key = $3 where digest = $1")
            .bind(secret.to_string())
            .bind(column_values::signed(now.0))
            .bind(public_key)
            .execute(&mut *transaction)
            .await
            .map_err(StoreError::from)?;
        transaction.commit().await?;
        Ok(owner)
    }
}

async fn find(connection: &mut AnyConnection, secret: Digest) -> Result<Option<JoinCodeRow>, StoreError> {
    let query = "select edge, name_server, expires, used, public_key from join_code where digest = $1";
    let row: Option<Columns> = sqlx::query_as(query).bind(secret.to_string()).fetch_optional(connection).await?;
    row.map(|(edge, name_server, expires, used, public_key)| {
        let time = |value| column_values::unsigned("time", value).map(Timestamp);
        Ok(JoinCodeRow {
            owner: tokens::owner(edge.as_deref(), name_server.as_deref())?,
            expires: time(expires)?,
            used: used.map(time).transpose()?,
            public_key,
        })
    })
    .transpose()
}

/// Deletes the join code of an edge or a name server. True if it had one.
pub(super) async fn delete(transaction: &mut WriteTransaction, owner: &TokenOwner) -> Result<bool, StoreError> {
    let (edge, name_server) = tokens::columns(owner);
    let deleted = sqlx::query("delete from join_code where edge = $1 or name_server = $2")
        .bind(edge)
        .bind(name_server)
        .execute(&mut **transaction)
        .await?;
    Ok(deleted.rows_affected() > 0)
}
