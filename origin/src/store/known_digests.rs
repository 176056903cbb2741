//! Which digests may be those of a token or a join code.

use std::collections::HashSet;
use std::sync::{Arc, PoisonError, RwLock};

use sqlx::AnyPool;
use verge_protocol::Digest;

use super::error::StoreError;

/// The digests of all tokens and secrets of join codes, and perhaps of some that were replaced. Strangers cannot add to them, and what they
/// send in place of a token is refused without a query. Clones share them.
#[derive(Clone, Default)]
pub(super) struct KnownDigests(Arc<RwLock<HashSet<Digest>>>);

impl KnownDigests {
    /// Those of the database. No other process writes any while this one has it open.
    pub(super) async fn load(read: &AnyPool) -> Result<Self, StoreError> {
        let query = "select digest from token union select digest from join_code";
        let rows: Vec<(String,)> = sqlx::query_as(query).fetch_all(read).await?;
        // A damaged one is that of no token.
        let digests = rows.iter().filter_map(|(digest,)| digest.parse().ok()).collect();
        Ok(Self(Arc::new(RwLock::new(digests))))
    }

    /// Adds one, before it is written.
    pub(super) fn add(&self, digest: Digest) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(digest);
    }

    /// False: it is neither the digest of a token nor of a join code.
    pub(super) fn contains(&self, digest: &Digest) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(digest)
    }
}
