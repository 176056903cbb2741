//! Sites.

use verge_protocol::fleet::SiteState;
use verge_protocol::state::Key;
use verge_protocol::{SiteName, Timestamp};

use super::{Database, StoreError, column, database, signed, state, unsigned};

/// A site.
pub(crate) struct SiteRow {
    pub(crate) name: SiteName,
    pub(crate) created: Timestamp,
}

fn site((name, created): (String, i64)) -> Result<SiteRow, StoreError> {
    Ok(SiteRow { name: column("a site name", &name)?, created: Timestamp(unsigned("a time", created)?) })
}

impl Database {
    /// Creates a site; whether it was new.
    pub(crate) async fn create_site(&self, name: &SiteName, now: Timestamp) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("insert into site (name, created) values ($1, $2) on conflict (name) do nothing")
            .bind(name.as_str())
            .bind(signed(now.0))
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
        row.map(site).transpose()
    }

    /// All sites, by name.
    pub(crate) async fn sites(&self) -> Result<Vec<SiteRow>, StoreError> {
        let rows = sqlx::query_as("select name, created from site order by name").fetch_all(self.read()).await?;
        rows.into_iter().map(site).collect()
    }

    /// What goes for all channels of a site; the default where nothing was said.
    pub(crate) async fn site_state(&self, name: &SiteName) -> Result<SiteState, StoreError> {
        Ok(state::get(self.read(), &Key::Site(name.clone())).await?.unwrap_or_default())
    }

    /// Says what goes for all channels of a site; what the default says too leaves no value. Whether there was
    /// something to write.
    pub(crate) async fn set_site_state(&self, name: &SiteName, wanted: &SiteState) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let value = Some(wanted).filter(|wanted| **wanted != SiteState::default());
        let written = state::set(&mut transaction, &Key::Site(name.clone()), value).await?;
        transaction.commit().await?;
        Ok(written)
    }
}
