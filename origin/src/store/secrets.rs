//! Encrypted secrets, and the public keys of edges.

use std::collections::BTreeSet;

use sqlx::{AnyConnection, FromRow as _};
use verge_protocol::certificate::TicketSecretState;
use verge_protocol::state::Key;
use verge_protocol::{Digest, EdgeName, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, state};

/// A secret, encrypted under the master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SecretRow {
    pub(crate) name: String,
    /// Which master key encrypted it.
    pub(crate) master: String,
    /// Nonce and ciphertext, in base64.
    pub(crate) sealed: String,
}

impl Database {
    /// Deletes the private key of a certificate.
    pub(crate) async fn delete_certificate_key(&self, key: Digest) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        delete_certificate_key(&mut transaction, key).await?;
        transaction.commit().await
    }

    /// The secret of this name. One whose columns cannot be read is empty: it cannot be decrypted either.
    pub(crate) async fn secret(&self, name: &str) -> Result<Option<SecretRow>, StoreError> {
        let query = sqlx::query("select master, sealed from secret where name = $1").bind(name);
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let row = rows.into_iter().next().map(|row| {
            let columns = row.and_then(|row| <(String, String)>::from_row(&row)).map_err(StoreError::from);
            let (master, sealed) = column_values::log_unreadable("secret", columns).unwrap_or_default();
            SecretRow { name: name.to_owned(), master, sealed }
        });
        Ok(row)
    }

    /// The names of the stored private keys of certificates.
    pub(crate) async fn certificate_keys(&self) -> Result<BTreeSet<Digest>, StoreError> {
        certificate_keys(&mut *self.read_connection().await?).await
    }

    /// The master keys that the secrets are encrypted under.
    pub(crate) async fn masters(&self) -> Result<Vec<String>, StoreError> {
        let query = sqlx::query("select distinct master from secret");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("secret", rows, |(master,): (String,)| Ok(master)))
    }

    /// Stores a secret. It replaces an earlier one of its name.
    pub(crate) async fn put_secret(&self, row: &SecretRow, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        put(&mut transaction, row, now).await?;
        transaction.commit().await
    }

    /// How many secrets there are.
    pub(crate) async fn secrets(&self) -> Result<u64, StoreError> {
        let (count,): (i64,) = sqlx::query_as("select count(*) from secret").fetch_one(self.read()).await?;
        column_values::unsigned("count", count)
    }

    /// Deletes all secrets, and returns how many there were.
    pub(crate) async fn delete_secrets(&self) -> Result<u64, StoreError> {
        let mut transaction = self.begin().await?;
        let deleted = sqlx::query("delete from secret").execute(&mut *transaction).await?.rows_affected();
        transaction.commit().await?;
        Ok(deleted)
    }

    /// What the state holds of the secret of session tickets.
    pub(crate) async fn ticket_secret(&self) -> Result<Option<TicketSecretState>, StoreError> {
        match state::get(&mut *self.read_connection().await?, &Key::TicketSecret).await {
            // Replaced by a new one.
            Err(StoreError::Malformed { .. }) => Ok(None),
            read => read,
        }
    }

    /// Stores the secret of session tickets and publishes its digest, in one transaction.
    pub(crate) async fn set_ticket_secret(
        &self,
        row: &SecretRow,
        published: TicketSecretState,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        sqlx::query("delete from secret where name like 'tickets/%'").execute(&mut *transaction).await?;
        put(&mut transaction, row, now).await?;
        state::set(&mut transaction, &Key::TicketSecret, Some(&published)).await?;
        transaction.commit().await
    }

    /// Binds an edge to a public key if it has none yet, and returns the key that it has; `None` if `token` is not its token any more.
    pub(crate) async fn bind_edge_key(
        &self,
        edge: &EdgeName,
        token: Digest,
        public_key: &str,
        now: Timestamp,
    ) -> Result<Option<String>, StoreError> {
        let token = token.to_string();
        let select = "select public_key from edge_key where edge = $1 \
                      and exists (select 1 from token where digest = $2 and token.edge = $1)";
        let bound: Option<(String,)> =
            sqlx::query_as(select).bind(edge.as_str()).bind(&token).fetch_optional(self.read()).await?;
        if let Some((bound,)) = bound {
            return Ok(Some(bound));
        }
        let mut transaction = self.begin().await?;
        // A new token is stored and unbinds the edge in one transaction: the key of the owner of the old one is not bound after it.
        sqlx::query(
            "insert into edge_key (edge, public_key, bound) select $1, $2, $3 \
             where exists (select 1 from token where digest = $4 and token.edge = $1) on conflict (edge) do nothing",
        )
        .bind(edge.as_str())
        .bind(public_key)
        .bind(column_values::signed(now.0))
        .bind(&token)
        .execute(&mut *transaction)
        .await?;
        let bound: Option<(String,)> =
            sqlx::query_as(select).bind(edge.as_str()).bind(&token).fetch_optional(&mut *transaction).await?;
        transaction.commit().await?;
        Ok(bound.map(|(bound,)| bound))
    }
}

/// The names of the stored private keys of certificates.
pub(super) async fn certificate_keys(connection: &mut AnyConnection) -> Result<BTreeSet<Digest>, StoreError> {
    let rows =
        column_values::fetch_all(connection, sqlx::query("select name from secret where name like 'key/%'")).await?;
    let names = column_values::sound_rows("secret", rows, |(name,): (String,)| Ok(name));
    Ok(names.iter().filter_map(|name| name.strip_prefix("key/")?.parse().ok()).collect())
}

/// Deletes the private key of a certificate.
pub(super) async fn delete_certificate_key(transaction: &mut WriteTransaction, key: Digest) -> Result<(), StoreError> {
    sqlx::query("delete from secret where name = $1").bind(format!("key/{key}")).execute(&mut **transaction).await?;
    Ok(())
}

/// Stores a secret. It replaces an earlier one of its name.
pub(super) async fn put(transaction: &mut WriteTransaction, row: &SecretRow, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "insert into secret (name, master, sealed, made) values ($1, $2, $3, $4) \
         on conflict (name) do update set master = excluded.master, sealed = excluded.sealed, made = excluded.made",
    )
    .bind(row.name.as_str())
    .bind(row.master.as_str())
    .bind(row.sealed.as_str())
    .bind(column_values::signed(now.0))
    .execute(&mut **transaction)
    .await?;
    Ok(())
}

/// Binds an edge that was unbound in the same transaction, with a new token, to a public key.
pub(super) async fn rebind_edge_key(
    transaction: &mut WriteTransaction,
    edge: &EdgeName,
    public_key: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query("insert into edge_key (edge, public_key, bound) values ($1, $2, $3)")
        .bind(edge.as_str())
        .bind(public_key)
        .bind(column_values::signed(now.0))
        .execute(&mut **transaction)
        .await?;
    Ok(())
}

/// Unbinds an edge from its public key: it has left, or joins anew.
pub(super) async fn unbind_edge_key(transaction: &mut WriteTransaction, edge: &EdgeName) -> Result<(), StoreError> {
    sqlx::query("delete from edge_key where edge = $1").bind(edge.as_str()).execute(&mut **transaction).await?;
    Ok(())
}
