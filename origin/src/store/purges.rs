//! Purges: which paths of a site were purged, when and by whom.

use verge_protocol::purge::{Purge, PurgeScope, PurgeState};
use verge_protocol::state::{ChannelState, Inherited, Key};
use verge_protocol::{Position, Seq, SiteName, Timestamp};

use super::channels;
use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, past_purges, state};

/// A purge to be made by [`Database::purge`].
#[derive(Debug, Clone)]
pub(crate) struct NewPurge {
    pub(crate) site: SiteName,
    pub(crate) scope: PurgeScope,
    pub(crate) author: Option<String>,
    pub(crate) message: Option<String>,
}

impl Database {
    /// Makes a purge in one transaction: its row, and after it that of every channel of the site, whose epoch stays. `inherits` tells
    /// what remains of what a channel inherits. Returns the position of the write that made the purge.
    pub(crate) async fn purge(
        &self,
        new: &NewPurge,
        now: Timestamp,
        inherits: impl Fn(&[Inherited]) -> Vec<Inherited>,
    ) -> Result<Position, StoreError> {
        let mut transaction = self.begin().await?;
        let position = make(&mut transaction, new, now, inherits).await?;
        transaction.commit().await?;
        Ok(position)
    }

    /// When the purge of a site by the write `seq` was made; `None` if there is none.
    pub(crate) async fn purge_time(&self, site: &SiteName, seq: Seq) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> =
            sqlx::query_as("select made from purge where site = $1 and seq >= $2 order by seq limit 1")
                .bind(site.as_str())
                .bind(column_values::signed(seq.0))
                .fetch_optional(self.read())
                .await?;
        row.map(|(made,)| column_values::unsigned("time", made).map(Timestamp)).transpose()
    }
}

/// The writes of [`Database::purge`].
pub(super) async fn make(
    transaction: &mut WriteTransaction,
    new: &NewPurge,
    now: Timestamp,
    inherits: impl Fn(&[Inherited]) -> Vec<Inherited>,
) -> Result<Position, StoreError> {
    let NewPurge { site, scope, author, message } = new;
    let position = database::advance(transaction).await?;
    let mut purges = PurgeState::default();
    let earlier = past_purges::of_site(transaction, site, PurgeState::MAX + 1).await?;
    earlier.into_iter().rev().for_each(|purge| purges.add(purge));
    purges.add(Purge { seq: position.seq, scope: scope.clone() });
    state::put(transaction, &Key::Purge(site.clone()), position.seq, &purges).await?;
    sqlx::query("insert into purge (site, seq, scope, author, message, made) values ($1, $2, $3, $4, $5, $6)")
        .bind(site.as_str())
        .bind(column_values::signed(position.seq.0))
        .bind(scope.to_string())
        .bind(author.as_deref())
        .bind(message.as_deref())
        .bind(column_values::signed(now.0))
        .execute(&mut **transaction)
        .await?;
    // Also the rows of channels that inherit nothing: by them an edge knows that what it serves is from after the purge.
    for key in state::keys_of(transaction, &format!("channel/{site}")).await? {
        let Key::Channel(_, channel) = &key else { continue };
        if let Some(state) = channels::current(transaction, site, channel).await? {
            let state = ChannelState { inherits: inherits(&state.inherits), ..state };
            state::rewrite(transaction, &key, Some(&state)).await?;
        }
    }
    Ok(position)
}
