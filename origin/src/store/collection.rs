//! Collecting what is not needed: the history by which releases are kept, what is deleted with those that are not, and which blobs nothing needs.
//!
//! Unlike lists, these reads fail at a row that cannot be read: what it needs is not known, and must not be deleted.

use std::collections::{BTreeMap, HashSet};

use sqlx::any::AnyRow;
use sqlx::{AnyConnection, FromRow};
use verge_protocol::state::{Key, ParsedRow, ReleaseState};
use verge_protocol::{BuildId, ChannelName, Content, Digest, ReleaseNumber, Seq, SiteName, Timestamp};

use super::channels::ChannelMove;
use super::column_values::{self, FetchedRow};
use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{encodings, state};

/// What is known of the releases of a site.
#[derive(Debug, Default)]
pub(crate) struct SiteHistory {
    pub(crate) releases: Vec<PastRelease>,
    /// Also of channels that were deleted.
    pub(crate) channels: BTreeMap<ChannelName, ChannelHistory>,
    pub(crate) in_use: ManifestsInUse,
}

/// A release.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PastRelease {
    pub(crate) number: ReleaseNumber,
    pub(crate) manifest: Digest,
    pub(crate) created: Timestamp,
}

/// The moves and deletions of a channel, each in their order.
#[derive(Debug, Default)]
pub(crate) struct ChannelHistory {
    pub(crate) moves: Vec<ChannelMove>,
    pub(crate) deletions: Vec<(Seq, Timestamp)>,
}

/// The manifests that channels point at, inherit, or are about to point at, each with one of the channels.
pub(crate) type ManifestsInUse = BTreeMap<Digest, ChannelName>;

/// A build that was not released yet, or not long ago, and when it was last used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BuildRow {
    pub(crate) site: SiteName,
    pub(crate) id: BuildId,
    pub(crate) used: Timestamp,
}

/// Decodes and parses all rows.
fn all<Columns, T>(
    rows: Vec<FetchedRow>,
    parse: impl Fn(Columns) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError>
where
    Columns: for<'row> FromRow<'row, AnyRow>,
{
    rows.into_iter().map(|row| parse(Columns::from_row(&row?)?)).collect()
}

fn digest((digest,): (String,)) -> Result<Digest, StoreError> {
    column_values::parse("digest", &digest)
}

impl Database {
    /// The names of all sites.
    pub(crate) async fn site_names(&self) -> Result<Vec<SiteName>, StoreError> {
        let query = sqlx::query("select name from site order by name");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        all(rows, |(name,): (String,)| column_values::parse("site name", &name))
    }

    /// What is known of the releases of a site.
    pub(crate) async fn site_history(&self, site: &SiteName) -> Result<SiteHistory, StoreError> {
        let mut connection = self.read_connection().await?;
        let query = sqlx::query("select number, manifest, created from release where site = $1 order by number");
        let rows = column_values::fetch_all(&mut connection, query.bind(site.as_str())).await?;
        let releases = all(rows, |(number, manifest, created): (i64, String, i64)| {
            Ok(PastRelease {
                number: ReleaseNumber(column_values::unsigned("release number", number)?),
                manifest: column_values::parse("digest", &manifest)?,
                created: Timestamp(column_values::unsigned("time", created)?),
            })
        })?;
        let mut channels: BTreeMap<ChannelName, ChannelHistory> = BTreeMap::new();
        let query = sqlx::query(
            "select channel, release, manifest, moved, epoch from channel_move where site = $1 order by epoch",
        );
        let rows = column_values::fetch_all(&mut connection, query.bind(site.as_str())).await?;
        let parse = |(channel, release, manifest, moved, epoch): (String, i64, String, i64, i64)| {
            let made = ChannelMove {
                release: ReleaseNumber(column_values::unsigned("release number", release)?),
                manifest: column_values::parse("digest", &manifest)?,
                moved: Timestamp(column_values::unsigned("time", moved)?),
                epoch: Seq(column_values::unsigned("epoch", epoch)?),
            };
            Ok((column_values::parse("channel name", &channel)?, made))
        };
        for (channel, made) in all(rows, parse)? {
            channels.entry(channel).or_default().moves.push(made);
        }
        let query = sqlx::query("select channel, seq, deleted from channel_deletion where site = $1 order by seq");
        let rows = column_values::fetch_all(&mut connection, query.bind(site.as_str())).await?;
        let parse = |(channel, seq, deleted): (String, i64, i64)| {
            let seq = Seq(column_values::unsigned("sequence number", seq)?);
            let deleted = Timestamp(column_values::unsigned("time", deleted)?);
            Ok((column_values::parse("channel name", &channel)?, (seq, deleted)))
        };
        for (channel, deletion) in all(rows, parse)? {
            channels.entry(channel).or_default().deletions.push(deletion);
        }
        let in_use = manifests_in_use(&mut connection, Some(site)).await?;
        Ok(SiteHistory { releases, channels, in_use })
    }

    /// Deletes releases, but for those whose manifests are in use or that do not exist. Edges no longer serve their hosts. Returns those
    /// that were deleted. The blobs of their manifests are among [`Self::unused_blobs`] then.
    ///
    /// Neither releases nor rollouts must begin meanwhile.
    pub(crate) async fn delete_releases(
        &self,
        site: &SiteName,
        numbers: &[ReleaseNumber],
        author: Option<&str>,
        now: Timestamp,
    ) -> Result<Vec<ReleaseNumber>, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let in_use = manifests_in_use(&mut transaction, Some(site)).await?;
        let mut deleted = Vec::new();
        for number in numbers {
            let manifest: Option<(String,)> =
                sqlx::query_as("select manifest from release where site = $1 and number = $2")
                    .bind(site.as_str())
                    .bind(column_values::signed(number.0))
                    .fetch_optional(&mut *transaction)
                    .await?;
            let Some(manifest) = manifest.map(digest).transpose()? else { continue };
            if in_use.contains_key(&manifest) {
                continue;
            }
            sqlx::query(
                "insert into deleted_release (site, number, manifest, files, bytes, created, author, message, git_commit, \
                 deleted, deleted_by) \
                 select site, number, manifest, files, bytes, created, author, message, git_commit, $3, $4 from release \
                 where site = $1 and number = $2",
            )
            .bind(site.as_str())
            .bind(column_values::signed(number.0))
            .bind(column_values::signed(now.0))
            .bind(author)
            .execute(&mut *transaction)
            .await?;
            sqlx::query("delete from release where site = $1 and number = $2")
                .bind(site.as_str())
                .bind(column_values::signed(number.0))
                .execute(&mut *transaction)
                .await?;
            state::set(&mut transaction, &Key::Release(site.clone(), *number), None::<&ReleaseState>).await?;
            delete_manifest(&mut transaction, manifest).await?;
            deleted.push(*number);
        }
        transaction.commit().await?;
        Ok(deleted)
    }

    /// Every manifest that a release has or that is in use.
    pub(crate) async fn needed_manifests(&self) -> Result<HashSet<Digest>, StoreError> {
        let mut connection = self.read_connection().await?;
        let query = sqlx::query("select distinct manifest from release");
        let mut manifests: HashSet<Digest> =
            all(column_values::fetch_all(&mut connection, query).await?, digest)?.into_iter().collect();
        manifests.extend(manifests_in_use(&mut connection, None).await?.into_keys());
        Ok(manifests)
    }

    /// Every build.
    pub(crate) async fn builds(&self) -> Result<Vec<BuildRow>, StoreError> {
        let query = sqlx::query("select site, id, used from build");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        all(rows, |(site, id, used): (String, String, i64)| {
            Ok(BuildRow {
                site: column_values::parse("site name", &site)?,
                id: column_values::parse("build id", &id)?,
                used: Timestamp(column_values::unsigned("time", used)?),
            })
        })
    }

    /// When a build was last used; `None`: there is none.
    pub(crate) async fn build(&self, site: &SiteName, id: &BuildId) -> Result<Option<Timestamp>, StoreError> {
        let row: Option<(i64,)> = sqlx::query_as("select used from build where site = $1 and id = $2")
            .bind(site.as_str())
            .bind(id.as_str())
            .fetch_optional(self.read())
            .await?;
        row.map(|(used,)| Ok(Timestamp(column_values::unsigned("time", used)?))).transpose()
    }

    /// Forgets a build.
    pub(crate) async fn delete_build(&self, site: &SiteName, id: &BuildId) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("delete from build where site = $1 and id = $2")
            .bind(site.as_str())
            .bind(id.as_str())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await
    }

    /// Records that a site does not hold these blobs any more. They are among [`Self::unused_blobs`] then.
    pub(crate) async fn give_up_blobs(&self, site: &SiteName, blobs: &[Digest]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for blob in blobs {
            sqlx::query("delete from blob where site = $1 and digest = $2")
                .bind(site.as_str())
                .bind(blob.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        add_unused(&mut transaction, blobs.iter().copied()).await?;
        transaction.commit().await
    }

    /// The contents of which something is recorded: encodings, or that they were verified.
    pub(crate) async fn recorded_contents(&self) -> Result<HashSet<Digest>, StoreError> {
        let query = sqlx::query(
            "select digest from encoding union select content from encoding_blob union select digest from content",
        );
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        // What cannot be read is left alone.
        Ok(column_values::sound_rows("encoding", rows, digest).into_iter().collect())
    }

    /// Forgets what is recorded of contents. The blobs of their encodings are among [`Self::unused_blobs`] then.
    pub(crate) async fn forget_contents(&self, contents: &[Digest]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        for content in contents {
            let blobs = encodings::blobs(&mut transaction, *content).await?;
            add_unused(&mut transaction, blobs.into_iter()).await?;
            encodings::delete(&mut transaction, *content).await?;
            let query = sqlx::query("delete from content where digest = $1").bind(content.to_string());
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// Blobs that were given up and may still be in the object store, at most `limit`, those after `after`.
    pub(crate) async fn unused_blobs(&self, after: Option<Digest>, limit: u32) -> Result<Vec<Digest>, StoreError> {
        let query = sqlx::query("select digest from unused_blob where digest > $1 order by digest limit $2")
            .bind(after.map_or_else(String::new, |after| after.to_string()))
            .bind(i64::from(limit));
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("unused_blob", rows, digest))
    }

    /// Records that these blobs are not in the object store any more, or are needed again.
    pub(crate) async fn forget_unused_blobs(&self, blobs: &[Digest]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for blob in blobs {
            let query = sqlx::query("delete from unused_blob where digest = $1").bind(blob.to_string());
            query.execute(&mut *transaction).await?;
        }
        transaction.commit().await
    }

    /// The blobs of all manifests.
    pub(crate) async fn manifest_blobs(&self) -> Result<HashSet<Digest>, StoreError> {
        let query = sqlx::query("select content from manifest");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let contents =
            all(rows, |(content,): (String,)| column_values::parse_json::<Content>("manifest content", &content))?;
        Ok(contents.iter().flat_map(Content::slices).map(|slice| slice.digest).collect())
    }
}

/// The manifests that are in use: of one site, or of all.
async fn manifests_in_use(
    connection: &mut AnyConnection,
    site: Option<&SiteName>,
) -> Result<ManifestsInUse, StoreError> {
    let of_site = site.map_or_else(String::new, |site| format!("/{site}"));
    let mut in_use = ManifestsInUse::new();
    for kind in ["channel", "rollout"] {
        let prefix = format!("{kind}{of_site}");
        let keys = state::keys_of(connection, &prefix).await?;
        let rows = state::rows_of(connection, &prefix).await?;
        let read: HashSet<&str> = rows.iter().map(|row| row.key.as_str()).collect();
        // One that is left out was deleted meanwhile, or is damaged, which this tells.
        for key in keys.iter().filter(|key| !read.contains(key.to_string().as_str())) {
            state::get::<serde_json::Value>(connection, key).await?;
        }
        for row in rows {
            let text = row.key.clone();
            match row.parse().map_err(|_| StoreError::Malformed { what: "state", text })? {
                ParsedRow::Channel(label, Some(state)) => {
                    let inherited = state.inherits.iter().map(|inherited| inherited.manifest);
                    in_use.extend(inherited.chain([state.manifest]).map(|manifest| (manifest, label.channel.clone())));
                }
                ParsedRow::Rollout(label, Some(state)) => drop(in_use.insert(state.manifest, label.channel)),
                _ => {}
            }
        }
    }
    Ok(in_use)
}

/// Deletes a manifest that no release has any more.
async fn delete_manifest(transaction: &mut WriteTransaction, id: Digest) -> Result<(), StoreError> {
    let unused: Option<(String,)> = sqlx::query_as(
        "select content from manifest where id = $1 and not exists (select 1 from release where manifest = $1)",
    )
    .bind(id.to_string())
    .fetch_optional(&mut **transaction)
    .await?;
    let Some((content,)) = unused else { return Ok(()) };
    // If it cannot be read, its blobs stay.
    if let Ok(content) = column_values::parse_json::<Content>("manifest content", &content) {
        add_unused(transaction, content.slices().map(|slice| slice.digest)).await?;
    }
    sqlx::query("delete from manifest where id = $1").bind(id.to_string()).execute(&mut **transaction).await?;
    Ok(())
}

async fn add_unused(transaction: &mut WriteTransaction, blobs: impl Iterator<Item = Digest>) -> Result<(), StoreError> {
    for blob in blobs {
        sqlx::query("insert into unused_blob (digest) values ($1) on conflict (digest) do nothing")
            .bind(blob.to_string())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}
