//! Erasures: contents that a site must not serve, store or push any more.

use std::collections::{HashMap, HashSet};

use sqlx::AnyConnection;
use verge_protocol::state::{ErasedState, Inherited, Key, RolloutState};
use verge_protocol::{ChannelName, Digest, Position, SiteName, SitePath, Timestamp};

use super::channels;
use super::database::{self, Database};
use super::error::StoreError;
use super::purges::{self, NewPurge};
use super::{column_values, state};

/// An erasure to be made by [`Database::erase`].
#[derive(Debug, Clone)]
pub(crate) struct NewErasure {
    pub(crate) site: SiteName,
    pub(crate) contents: Vec<NewErased>,
}

/// A content to be erased.
#[derive(Debug, Clone)]
pub(crate) struct NewErased {
    pub(crate) digest: Digest,
    /// A path where the site had it.
    pub(crate) path: SitePath,
    /// The blobs that nothing else of the site needs: it does not hold them any more.
    pub(crate) given_up: Vec<Digest>,
    /// Those of them, and of the encodings, that no other site needs either.
    pub(crate) removed: Vec<Digest>,
    /// Whether another site has the content, and with it its encodings.
    pub(crate) is_shared: bool,
}

impl NewErasure {
    /// All blobs that nothing else needs.
    pub(crate) fn removed(&self) -> HashSet<Digest> {
        self.contents.iter().flat_map(|content| &content.removed).copied().collect()
    }
}

impl Database {
    /// Makes an erasure in one transaction: a row for each content, which is not held by the site any more, then `purge`. `None`, and
    /// nothing is written, if `in_use` is not any more what the channels of the site point at or are about to.
    pub(crate) async fn erase(
        &self,
        erasure: &NewErasure,
        purge: &NewPurge,
        in_use: &[(ChannelName, Digest)],
        now: Timestamp,
        inherits: impl Fn(&[Inherited]) -> Vec<Inherited>,
    ) -> Result<Option<Position>, StoreError> {
        let site = &erasure.site;
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        if manifests_in_use(&mut transaction, site).await? != in_use {
            transaction.rollback().await?;
            return Ok(None);
        }
        for NewErased { digest, path, given_up, removed, is_shared } in &erasure.contents {
            let erased = ErasedState { when: now, path: path.clone(), blobs: removed.clone() };
            state::set(&mut transaction, &Key::Erased(site.clone(), *digest), Some(&erased)).await?;
            sqlx::query(
                "insert into erasure (site, content, path, author, message, made) values ($1, $2, $3, $4, $5, $6) \
                 on conflict (site, content) do update set path = excluded.path, author = excluded.author, \
                 message = excluded.message, made = excluded.made",
            )
            .bind(site.as_str())
            .bind(digest.to_string())
            .bind(path.as_str())
            .bind(purge.author.as_deref())
            .bind(purge.message.as_deref())
            .bind(column_values::signed(now.0))
            .execute(&mut *transaction)
            .await?;
            for blob in given_up {
                sqlx::query("delete from blob where site = $1 and digest = $2")
                    .bind(site.as_str())
                    .bind(blob.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
            if !is_shared {
                sqlx::query("delete from encoding where digest = $1")
                    .bind(digest.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        let position = purges::make(&mut transaction, purge, now, inherits).await?;
        transaction.commit().await?;
        Ok(Some(position))
    }

    /// The erased contents of a site, each with a path where the site had it.
    pub(crate) async fn erased(&self, site: &SiteName) -> Result<HashMap<Digest, SitePath>, StoreError> {
        let query = sqlx::query("select content, path from erasure where site = $1").bind(site.as_str());
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(content, path): (String, String)| {
            Ok((column_values::parse("digest", &content)?, column_values::parse("path", &path)?))
        };
        Ok(column_values::sound_rows("erasure", rows, parse).into_iter().collect())
    }

    /// The manifests that the channels of a site point at or are about to.
    pub(crate) async fn manifests_in_use(&self, site: &SiteName) -> Result<Vec<(ChannelName, Digest)>, StoreError> {
        manifests_in_use(&mut *self.read_connection().await?, site).await
    }

    /// Those of the blobs that another site holds.
    pub(crate) async fn held_by_others(
        &self,
        site: &SiteName,
        blobs: impl Iterator<Item = Digest>,
    ) -> Result<HashSet<Digest>, StoreError> {
        let mut held = HashSet::new();
        for blob in blobs {
            let row: Option<(i64,)> = sqlx::query_as("select size from blob where digest = $1 and site <> $2 limit 1")
                .bind(blob.to_string())
                .bind(site.as_str())
                .fetch_optional(self.read())
                .await?;
            held.extend(row.map(|_| blob));
        }
        Ok(held)
    }
}

async fn manifests_in_use(
    connection: &mut AnyConnection,
    site: &SiteName,
) -> Result<Vec<(ChannelName, Digest)>, StoreError> {
    let query = sqlx::query("select key from state where (key like $1 or key like $2) order by key")
        .bind(format!("channel/{site}/%"))
        .bind(format!("rollout/{site}/%"));
    let rows = column_values::fetch_all(connection, query).await?;
    let keys = column_values::sound_rows("state", rows, |(key,): (String,)| column_values::parse::<Key>("key", &key));
    let mut in_use = Vec::new();
    for key in keys {
        let (channel, manifest) = match &key {
            Key::Channel(_, channel) => {
                (channel, channels::current(connection, site, channel).await?.map(|state| state.manifest))
            }
            Key::Rollout(_, channel) => {
                (channel, state::get::<RolloutState>(connection, &key).await?.map(|state| state.manifest))
            }
            _ => continue,
        };
        in_use.extend(manifest.map(|manifest| (channel.clone(), manifest)));
    }
    Ok(in_use)
}
