//! Erasures: contents that a site must not serve, store or push any more.

#[cfg(test)]
mod tests;

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::AnyConnection;
use verge_protocol::state::{ErasedState, Inherited, Key, RolloutState};
use verge_protocol::{ChannelName, Digest, Position, ReleaseNumber, SiteName, SitePath, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::purges::{self, NewPurge};
use super::write_transaction::WriteTransaction;
use super::{channels, column_values, encodings, erased_blobs, state};

/// The manifests that a site has: what an erasure is planned from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct SiteManifests {
    /// Those of its releases, by number.
    pub(crate) releases: Vec<(ReleaseNumber, Digest)>,
    /// Those that its channels point at or are about to.
    pub(crate) in_use: Vec<(ChannelName, Digest)>,
    /// The contents of them that were erased.
    pub(crate) erased: BTreeSet<Digest>,
}

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
    /// Its blobs.
    pub(crate) blobs: Vec<Digest>,
    /// Those of them that no other content of the site has.
    pub(crate) own_blobs: Vec<Digest>,
    /// Those of its encodings, likewise.
    pub(crate) encoded_blobs: Vec<Digest>,
}

impl NewErased {
    /// The blobs that nothing else of the site needs.
    fn given_up(&self) -> impl Iterator<Item = Digest> + '_ {
        self.own_blobs.iter().chain(&self.encoded_blobs).copied()
    }
}

/// One transaction, for which other writes wait, erases so many contents at most, and those of so many blobs: more blobs only if one content
/// has them.
const CONTENTS_AT_ONCE: usize = 500;
const BLOBS_AT_ONCE: usize = 5000;

/// Cuts contents into those that one transaction erases.
fn batches(mut contents: &[NewErased]) -> Vec<&[NewErased]> {
    let mut batches = Vec::new();
    while !contents.is_empty() {
        let mut blobs = 0;
        let fits = |content: &&NewErased| {
            blobs += content.blobs.len() + content.encoded_blobs.len();
            blobs <= BLOBS_AT_ONCE
        };
        let count = contents.iter().take(CONTENTS_AT_ONCE).take_while(fits).count();
        let (batch, rest) = contents.split_at(count.max(1));
        batches.push(batch);
        contents = rest;
    }
    batches
}

/// An erasure that was made.
#[derive(Debug)]
pub(crate) struct Erased {
    /// Of its purge.
    pub(crate) position: Position,
    /// The blobs that the site gave up, and those of encodings that nothing needs any more. They are among [`Database::erased_blobs`].
    pub(crate) given_up: HashSet<Digest>,
}

impl Database {
    /// Makes an erasure: a row for each content, whose blobs the site does not hold any more, then `purge`. `None`, and nothing is
    /// written, if `planned_from` is not any more what the site has.
    ///
    /// A large erasure takes several transactions, the last of which makes the purge; after each other one `committed` is called. One that
    /// ends before its purge has erased some of the contents: made again, it erases all. Releases must not be created, nor contents
    /// erased otherwise, until it returns.
    pub(crate) async fn erase<F: Future<Output = ()>>(
        &self,
        erasure: &NewErasure,
        purge: &NewPurge,
        planned_from: &SiteManifests,
        now: Timestamp,
        inherits: impl Fn(&[Inherited]) -> Vec<Inherited>,
        committed: impl Fn() -> F,
    ) -> Result<Option<Erased>, StoreError> {
        let site = &erasure.site;
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        if site_manifests(&mut transaction, site).await? != *planned_from {
            transaction.rollback().await?;
            return Ok(None);
        }
        let mut given_up = HashSet::new();
        for (number, contents) in batches(&erasure.contents).into_iter().enumerate() {
            if number > 0 {
                transaction.commit().await?;
                committed().await;
                transaction = self.begin().await?;
                database::lock(&mut transaction).await?;
            }
            given_up.extend(erase(&mut transaction, contents, purge, now).await?);
        }
        let position = purges::make(&mut transaction, purge, now, inherits).await?;
        transaction.commit().await?;
        Ok(Some(Erased { position, given_up }))
    }

    /// The blobs that nothing would need any more after an erasure.
    pub(crate) async fn removed_by(&self, erasure: &NewErasure) -> Result<HashSet<Digest>, StoreError> {
        let NewErasure { site, contents } = erasure;
        Ok(removable(&mut *self.read_connection().await?, site, contents).await?.removed)
    }

    /// The erased contents of a site, each with a path where the site had it.
    pub(crate) async fn erased(&self, site: &SiteName) -> Result<HashMap<Digest, SitePath>, StoreError> {
        erased(&mut *self.read_connection().await?, site).await
    }

    /// The manifests that a site has.
    pub(crate) async fn site_manifests(&self, site: &SiteName) -> Result<SiteManifests, StoreError> {
        site_manifests(&mut *self.read_connection().await?, site).await
    }
}

/// Erases contents. Returns the blobs that the site gave up, and those of encodings that nothing needs any more.
async fn erase(
    transaction: &mut WriteTransaction,
    contents: &[NewErased],
    purge: &NewPurge,
    now: Timestamp,
) -> Result<HashSet<Digest>, StoreError> {
    let site = &purge.site;
    let Removable { shared, removed, given_up } = removable(transaction, site, contents).await?;
    for erased in contents {
        let NewErased { digest, path, .. } = erased;
        let blobs = erased.given_up().filter(|blob| removed.contains(blob)).collect();
        let value = ErasedState { when: now, path: path.clone(), blobs };
        state::set(transaction, &Key::Erased(site.clone(), *digest), Some(&value)).await?;
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
        .execute(&mut **transaction)
        .await?;
        for blob in erased.given_up() {
            sqlx::query("delete from blob where site = $1 and digest = $2")
                .bind(site.as_str())
                .bind(blob.to_string())
                .execute(&mut **transaction)
                .await?;
        }
        if !shared.contains(digest) {
            encodings::delete(transaction, *digest).await?;
        }
    }
    // Also those that another site needs: a pack that began before must not give them back to this one.
    let recorded = &given_up | &removed;
    erased_blobs::add(transaction, site, &recorded).await?;
    Ok(recorded)
}

/// What an erasure takes away.
struct Removable {
    /// Contents that another site has, and with them their encodings.
    shared: HashSet<Digest>,
    /// Blobs that nothing else needs, of any site.
    removed: HashSet<Digest>,
    /// Blobs that nothing else of the site needs.
    given_up: HashSet<Digest>,
}

async fn removable(
    connection: &mut AnyConnection,
    site: &SiteName,
    erased: &[NewErased],
) -> Result<Removable, StoreError> {
    let (mut shared, mut contents, mut given_up) = (HashSet::new(), HashSet::new(), HashSet::new());
    for erased in erased {
        if is_held_elsewhere(connection, site, &erased.blobs).await? {
            shared.insert(erased.digest);
            given_up.extend(&erased.own_blobs);
        } else {
            contents.insert(erased.digest);
            given_up.extend(erased.given_up());
        }
    }
    let needed = erased_blobs::needed(connection, &given_up, Some(site), &contents).await?;
    let mut removed = &given_up - &needed;
    // Encodings of another level are in no manifest. A blob of theirs may be one that the site has otherwise.
    let mut others = HashSet::new();
    for content in &contents {
        others.extend(encodings::blobs(connection, *content).await?);
    }
    others.retain(|blob| !given_up.contains(blob));
    let needed = erased_blobs::needed(connection, &others, None, &contents).await?;
    removed.extend(&others - &needed);
    Ok(Removable { shared, removed, given_up })
}

/// Whether another site holds all these blobs.
async fn is_held_elsewhere(
    connection: &mut AnyConnection,
    site: &SiteName,
    blobs: &[Digest],
) -> Result<bool, StoreError> {
    let mut sites: Option<HashSet<String>> = None;
    for blob in blobs {
        let holders: Vec<(String,)> = sqlx::query_as("select site from blob where digest = $1 and site <> $2")
            .bind(blob.to_string())
            .bind(site.as_str())
            .fetch_all(&mut *connection)
            .await?;
        let holders = holders.into_iter().map(|(site,)| site);
        let holders: HashSet<String> =
            holders.filter(|site| sites.as_ref().is_none_or(|sites| sites.contains(site))).collect();
        if holders.is_empty() {
            return Ok(false);
        }
        sites = Some(holders);
    }
    Ok(sites.is_some())
}

async fn erased(connection: &mut AnyConnection, site: &SiteName) -> Result<HashMap<Digest, SitePath>, StoreError> {
    let query = sqlx::query("select content, path from erasure where site = $1").bind(site.as_str());
    let rows = column_values::fetch_all(connection, query).await?;
    let parse = |(content, path): (String, String)| {
        Ok((column_values::parse("digest", &content)?, column_values::parse("path", &path)?))
    };
    Ok(column_values::sound_rows("erasure", rows, parse).into_iter().collect())
}

async fn site_manifests(connection: &mut AnyConnection, site: &SiteName) -> Result<SiteManifests, StoreError> {
    let query = sqlx::query("select number, manifest from release where site = $1 order by number").bind(site.as_str());
    let rows = column_values::fetch_all(connection, query).await?;
    let releases = column_values::sound_rows("release", rows, |(number, manifest): (i64, String)| {
        let number = ReleaseNumber(column_values::unsigned("release number", number)?);
        Ok((number, column_values::parse("digest", &manifest)?))
    });
    let mut keys = state::keys_of(connection, &format!("channel/{site}")).await?;
    keys.extend(state::keys_of(connection, &format!("rollout/{site}")).await?);
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
    let erased = erased(connection, site).await?.into_keys().collect();
    Ok(SiteManifests { releases, in_use, erased })
}
