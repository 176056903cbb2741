//! Sites.

use std::collections::BTreeMap;

use verge_protocol::fleet::SiteState;
use verge_protocol::state::Key;
use verge_protocol::{SiteName, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::{column_values, state};

/// A site.
pub(crate) struct SiteRow {
    pub(crate) name: SiteName,
    pub(crate) created: Timestamp,
}

fn from_columns((name, created): (String, i64)) -> Result<SiteRow, StoreError> {
    Ok(SiteRow {
        name: column_values::parse("site name", &name)?,
        created: Timestamp(column_values::unsigned("time", created)?),
    })
}

impl Database {
    /// Creates a site if there is none of this name. True if it was created.
    pub(crate) async fn create_site(&self, name: &SiteName, now: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("insert into site (name, created) values ($1, $2) on conflict (name) do nothing")
            .bind(name.as_str())
            .bind(column_values::signed(now.0))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// One site.
    pub(crate) async fn site(&self, name: &SiteName) -> Result<Option<SiteRow>, StoreError> {
        let row = sqlx::query_as("select name, created from site where name = $1")
            .bind(name.as_str())
            .fetch_optional(self.read())
            .await?;
        row.map(from_columns).transpose()
    }

    /// The sites whose name comes after `after`, by name, at most `limit`.
    pub(crate) async fn sites(&self, after: Option<&SiteName>, limit: u32) -> Result<Vec<SiteRow>, StoreError> {
        let query = sqlx::query("select name, created from site where name > $1 order by name limit $2")
            // No name is empty, so every name comes after this one.
            .bind(after.map_or("", SiteName::as_str))
            .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("site", rows, from_columns))
    }

    /// The sites whose channel `live` points at a release, in the order in which they were created.
    pub(crate) async fn live_sites(&self) -> Result<Vec<SiteName>, StoreError> {
        let query = sqlx::query(
            "select site.name from site join state on state.key = 'channel/' || site.name || '/live' \
             where state.value is not null order by site.created, site.name",
        );
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("site", rows, |(name,): (String,)| column_values::parse("site name", &name)))
    }

    /// The settings of a site, which apply to all its channels; the default if none were set.
    pub(crate) async fn site_state(&self, name: &SiteName) -> Result<SiteState, StoreError> {
        Ok(state::get(&mut *self.read_connection().await?, &Key::Site(name.clone())).await?.unwrap_or_default())
    }

    /// The settings of every site whose name is from `first` to `last` and that has any: one query.
    pub(crate) async fn site_states(
        &self,
        first: &SiteName,
        last: &SiteName,
    ) -> Result<BTreeMap<SiteName, SiteState>, StoreError> {
        state::between(&mut *self.read_connection().await?, "site", first.as_str(), last.as_str()).await
    }

    /// Replaces the settings of a site by what `change` makes of them; the default is stored as no value. True if something changed and
    /// was written.
    pub(crate) async fn change_site_state<E: From<StoreError>>(
        &self,
        name: &SiteName,
        change: impl FnOnce(SiteState) -> Result<SiteState, E>,
    ) -> Result<bool, E> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let key = Key::Site(name.clone());
        let current = match state::get(&mut transaction, &key).await {
            // Replaced.
            Err(StoreError::Malformed { .. }) => None,
            read => read?,
        };
        let new = change(current.unwrap_or_default())?;
        let value = Some(&new).filter(|new| **new != SiteState::default());
        let written = state::set(&mut transaction, &key, value).await?;
        transaction.commit().await?;
        Ok(written)
    }
}
