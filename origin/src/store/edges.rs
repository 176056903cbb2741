//! Settings of edges.

use std::collections::BTreeMap;

use verge_protocol::EdgeName;
use verge_protocol::api::TokenOwner;
use verge_protocol::fleet::EdgeState;
use verge_protocol::state::Key;

use super::database::{self, Database};
use super::error::StoreError;
use super::{join_codes, secrets, state};

/// Every configured edge and its settings.
pub(crate) type EdgeStates = BTreeMap<EdgeName, EdgeState>;

impl Database {
    /// Every configured edge and its settings.
    pub(crate) async fn edges(&self) -> Result<EdgeStates, StoreError> {
        state::all(&mut *self.read_connection().await?, "edge").await
    }

    /// Replaces the settings of an edge by what `decide` makes of those of all edges, in one transaction. An error of `decide` changes
    /// nothing. The flag is false if nothing changed and therefore nothing was written.
    pub(crate) async fn set_edge<E: From<StoreError>>(
        &self,
        edge: &EdgeName,
        decide: impl FnOnce(&EdgeStates) -> Result<EdgeState, E>,
    ) -> Result<(EdgeState, bool), E> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let new = decide(&state::all(&mut transaction, "edge").await?)?;
        let written = state::set(&mut transaction, &Key::Edge(edge.clone()), Some(&new)).await?;
        transaction.commit().await?;
        Ok((new, written))
    }

    /// Deletes the settings of an edge, its token, its public key and its join code. The flags tell whether it had settings, and whether it had a token.
    pub(crate) async fn remove_edge(&self, edge: &EdgeName) -> Result<(bool, bool), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let configured = state::set(&mut transaction, &Key::Edge(edge.clone()), None::<&EdgeState>).await?;
        let revoked = sqlx::query("delete from token where edge = $1")
            .bind(edge.as_str())
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        secrets::unbind_edge_key(&mut transaction, edge).await?;
        join_codes::delete(&mut transaction, &TokenOwner::Edge(edge.clone())).await?;
        transaction.commit().await?;
        Ok((configured, revoked > 0))
    }
}
