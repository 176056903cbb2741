//! Edges as the operator describes them.

use std::collections::BTreeMap;

use verge_protocol::EdgeName;
use verge_protocol::fleet::EdgeState;
use verge_protocol::state::Key;

use super::{Database, StoreError, database, state};

/// Every edge that was described, and how.
pub(crate) type Edges = BTreeMap<EdgeName, EdgeState>;

impl Database {
    /// How readers are sent to each edge of which that was said.
    pub(crate) async fn edges(&self) -> Result<Edges, StoreError> {
        state::all(self.read(), "edge").await
    }

    /// Gives an edge the state that `decide` makes of those of all edges, in one transaction; an error of it changes nothing. The
    /// flag tells whether there was something to write.
    pub(crate) async fn set_edge<E: From<StoreError>>(
        &self,
        edge: &EdgeName,
        decide: impl FnOnce(&Edges) -> Result<EdgeState, E>,
    ) -> Result<(EdgeState, bool), E> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let wanted = decide(&state::all(&mut *transaction, "edge").await?)?;
        let written = state::set(&mut transaction, &Key::Edge(edge.clone()), Some(&wanted)).await?;
        transaction.commit().await.map_err(StoreError::from)?;
        Ok((wanted, written))
    }

    /// Takes away what was said of an edge, and its token: whether something had been said, and whether there was a token.
    pub(crate) async fn remove_edge(&self, edge: &EdgeName) -> Result<(bool, bool), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let written = state::set(&mut transaction, &Key::Edge(edge.clone()), None::<&EdgeState>).await?;
        let revoked = sqlx::query("delete from token where edge = $1")
            .bind(edge.as_str())
            .execute(&mut *transaction)
            .await?
            .rows_affected();
        transaction.commit().await?;
        Ok((written, revoked > 0))
    }
}
