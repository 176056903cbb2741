//! Builds being uploaded, and the blobs that each site holds.

use std::collections::HashMap;

use verge_protocol::{BuildId, Digest, SiteName, Timestamp};

use super::database::Database;
use super::error::StoreError;
use super::{column_values, encodings};

impl Database {
    /// Records that a build exists and was used at `now`.
    pub(crate) async fn touch_build(&self, site: &SiteName, id: &BuildId, now: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query(
            "insert into build (site, id, used) values ($1, $2, $3) on conflict (site, id) do update set used = $3",
        )
        .bind(site.as_str())
        .bind(id.as_str())
        .bind(column_values::signed(now.0))
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(())
    }

    /// Records that a build was used at `now`. False if there is none.
    pub(crate) async fn touch_existing_build(
        &self,
        site: &SiteName,
        id: &BuildId,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let mut transaction = self.begin().await?;
        let done = sqlx::query("update build set used = $3 where site = $1 and id = $2")
            .bind(site.as_str())
            .bind(id.as_str())
            .bind(column_values::signed(now.0))
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Whether the site has this build.
    pub(crate) async fn has_build(&self, site: &SiteName, id: &BuildId) -> Result<bool, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("select used from build where site = $1 and id = $2")
            .bind(site.as_str())
            .bind(id.as_str())
            .fetch_optional(self.read())
            .await?;
        Ok(row.is_some())
    }

    /// Every blob that the site holds, with its size in bytes.
    pub(crate) async fn blobs_of(&self, site: &SiteName) -> Result<HashMap<Digest, u64>, StoreError> {
        let query = sqlx::query("select digest, size from blob where site = $1").bind(site.as_str());
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(digest, size): (String, i64)| {
            Ok((column_values::parse("digest", &digest)?, column_values::unsigned("size", size)?))
        };
        Ok(column_values::sound_rows("blob", rows, parse).into_iter().collect())
    }

    /// Records that the site holds these blobs, unless it gave them up while they were received. Call it only after
    /// [`Blobs::sync`](super::Blobs::sync).
    pub(crate) async fn add_blobs(&self, site: &SiteName, blobs: &[(Digest, u64)]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (digest, size) in blobs {
            sqlx::query(
                "insert into blob (site, digest, size) select $1, $2, $3 \
                 where not exists (select 1 from erased_blob where site = $1 and digest = $2) \
                 on conflict (site, digest) do update set size = excluded.size",
            )
            .bind(site.as_str())
            .bind(digest.to_string())
            .bind(column_values::signed(*size))
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }

    /// Records that no site holds this blob any more, because it is corrupt or missing. The next push that needs it sends it again,
    /// or creates again the encoding that it was part of.
    pub(crate) async fn forget_blob(&self, digest: Digest) -> Result<(), StoreError> {
        let held: Option<(i64,)> = sqlx::query_as("select size from blob where digest = $1 limit 1")
            .bind(digest.to_string())
            .fetch_optional(self.read())
            .await?;
        if held.is_none() && !encodings::have_blob(&mut *self.read_connection().await?, digest).await? {
            return Ok(());
        }
        let mut transaction = self.begin().await?;
        sqlx::query("delete from blob where digest = $1").bind(digest.to_string()).execute(&mut *transaction).await?;
        encodings::delete_with_blob(&mut transaction, digest).await?;
        transaction.commit().await?;
        Ok(())
    }
}
