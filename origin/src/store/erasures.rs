//! Erasures: contents that a site must not serve, store or push any more.

use std::collections::{BTreeSet, HashMap, HashSet};

use sqlx::AnyConnection;
use verge_protocol::state::{ErasedState, Inherited, Key, RolloutState};
use verge_protocol::{ChannelName, Digest, Position, ReleaseNumber, SiteName, SitePath, Timestamp};

use super::database::{self, Database};
use super::error::StoreError;
use super::purges::{self, NewPurge};
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

/// An erasure that was made.
#[derive(Debug)]
pub(crate) struct Erased {
    /// Of its purge.
    pub(crate) position: Position,
    /// The blobs that nothing needs any more. They are among [`Database::erased_blobs`].
    pub(crate) removed: HashSet<Digest>,
}

impl Database {
    /// Makes an erasure in one transaction: a row for each content, whose blobs the site does not hold any more, then `purge`. `None`,
    /// and nothing is written, if `planned_from` is not any more what the site has.
    pub(crate) async fn erase(
        &self,
        erasure: &NewErasure,
        purge: &NewPurge,
        planned_from: &SiteManifests,
        now: Timestamp,
        inherits: impl Fn(&[Inherited]) -> Vec<Inherited>,
    ) -> Result<Option<Erased>, StoreError> {
        let site = &erasure.site;
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        if site_manifests(&mut transaction, site).await? != *planned_from {
            transaction.rollback().await?;
            return Ok(None);
        }
        let Removable { shared, removed } = removable(&mut transaction, erasure).await?;
        for erased in &erasure.contents {
            let NewErased { digest, path, .. } = erased;
            let blobs = erased.given_up().filter(|blob| removed.contains(blob)).collect();
            let value = ErasedState { when: now, path: path.clone(), blobs };
            state::set(&mut transaction, &Key::Erased(site.clone(), *digest), Some(&value)).await?;
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
            for blob in erased.given_up() {
                sqlx::query("delete from blob where site = $1 and digest = $2")
                    .bind(site.as_str())
                    .bind(blob.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
            if !shared.contains(digest) {
                sqlx::query("delete from encoding where digest = $1")
                    .bind(digest.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
        }
        erased_blobs::add(&mut transaction, site, &removed).await?;
        let position = purges::make(&mut transaction, purge, now, inherits).await?;
        transaction.commit().await?;
        Ok(Some(Erased { position, removed }))
    }

    /// The blobs that nothing would need any more after an erasure.
    pub(crate) async fn removed_by(&self, erasure: &NewErasure) -> Result<HashSet<Digest>, StoreError> {
        Ok(removable(&mut *self.read_connection().await?, erasure).await?.removed)
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

/// What an erasure takes away.
struct Removable {
    /// Contents that another site has, and with them their encodings.
    shared: HashSet<Digest>,
    /// Blobs that nothing else needs, of any site.
    removed: HashSet<Digest>,
}

async fn removable(connection: &mut AnyConnection, erasure: &NewErasure) -> Result<Removable, StoreError> {
    let (mut shared, mut contents, mut given_up) = (HashSet::new(), HashSet::new(), HashSet::new());
    for erased in &erasure.contents {
        if is_held_elsewhere(connection, &erasure.site, &erased.blobs).await? {
            shared.insert(erased.digest);
            given_up.extend(&erased.own_blobs);
        } else {
            contents.insert(erased.digest);
            given_up.extend(erased.given_up());
        }
    }
    let needed = erased_blobs::needed(connection, &given_up, Some(&erasure.site), &contents).await?;
    let mut removed = &given_up - &needed;
    // Encodings of another level are in no manifest. A blob of theirs may be one that the site has otherwise.
    let mut others = HashSet::new();
    for content in &contents {
        others.extend(encodings::blobs(connection, *content).await?);
    }
    others.retain(|blob| !given_up.contains(blob));
    let needed = erased_blobs::needed(connection, &others, None, &contents).await?;
    removed.extend(&others - &needed);
    Ok(Removable { shared, removed })
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

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use verge_protocol::purge::PurgeScope;
    use verge_protocol::{Coding, Content};

    use super::*;
    use crate::store::EncodingRow;

    fn demo() -> SiteName {
        "demo".parse().unwrap()
    }

    fn news() -> SiteName {
        "news".parse().unwrap()
    }

    async fn database(directory: &tempfile::TempDir) -> Database {
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        for site in [demo(), news()] {
            database.create_site(&site, Timestamp(1000)).await.unwrap();
        }
        database
    }

    /// The erasure of a content of one blob with one encoding, which the site `demo` holds.
    async fn planned(database: &Database, text: &'static str, encoded: Content) -> NewErasure {
        let content = Content::cut(&Bytes::from_static(text.as_bytes())).0;
        let digest = content.digest();
        database.add_blobs(&demo(), &[(digest, content.size())]).await.unwrap();
        let encoded_blobs = encoded.slices().map(|slice| slice.digest).collect();
        let encoding = EncodingRow { of: digest, coding: Coding::Br, level: 11, encoded: Some(encoded) };
        database.put_encodings(&demo(), &[encoding]).await.unwrap();
        let path = "a".parse().unwrap();
        let erased = NewErased { digest, path, blobs: vec![digest], own_blobs: vec![digest], encoded_blobs };
        NewErasure { site: demo(), contents: vec![erased] }
    }

    async fn erase(database: &Database, erasure: &NewErasure, from: &SiteManifests) -> Option<HashSet<Digest>> {
        let scope = PurgeScope::All;
        let purge = NewPurge { site: demo(), scope, author: None, message: None };
        let erased = database.erase(erasure, &purge, from, Timestamp(2000), <[_]>::to_vec).await.unwrap();
        Some(erased?.removed)
    }

    #[tokio::test]
    async fn blobs_that_another_site_got_since_the_erasure_was_planned_stay() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(&directory).await;
        let encoded = Content::cut(&Bytes::from_static(b"encoded")).0;
        let erasure = planned(&database, "text", encoded.clone()).await;
        let (content, encoded) = (erasure.contents[0].digest, encoded.digest());
        assert_eq!(database.removed_by(&erasure).await.unwrap(), [content, encoded].into());
        database.add_blobs(&news(), &[(content, 4)]).await.unwrap();
        assert_eq!(erase(&database, &erasure, &SiteManifests::default()).await, Some(HashSet::new()));
        assert!(database.encoding(content, Coding::Br, 1).await.unwrap().is_some());
        assert_eq!(database.erased_blobs().await.unwrap(), []);
        database.close().await;
    }

    #[tokio::test]
    async fn blobs_that_are_of_other_encodings_or_manifests_too_stay() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(&directory).await;
        let long = |end: &str| Bytes::from([vec![7; 256 << 10], end.into()].concat());
        let (one, other) = (Content::cut(&long("one")).0, Content::cut(&long("other")).0);
        let [common, own] = one.slices().map(|slice| slice.digest).collect::<Vec<_>>()[..] else { panic!("two blobs") };
        assert_eq!(other.slices().next().unwrap().digest, common);
        let of = Digest::of(b"another content");
        database
            .put_encodings(&demo(), &[EncodingRow { of, coding: Coding::Br, level: 11, encoded: Some(other) }])
            .await
            .unwrap();
        let mut erasure = planned(&database, "text", one).await;
        let content = erasure.contents[0].digest;
        // Manifests are blobs of the same store.
        let manifest = Digest::of(b"manifest");
        erasure.contents[0].own_blobs.push(manifest);
        let mut transaction = database.begin().await.unwrap();
        sqlx::query("insert into manifest (id, content) values ($1, '')")
            .bind(manifest.to_string())
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        let removed = erase(&database, &erasure, &SiteManifests::default()).await;
        assert_eq!(removed, Some([content, own].into()));
        let needed = database.needed_blobs(&[common, own, content].into()).await.unwrap();
        assert_eq!(needed, [common].into());
        database.close().await;
    }

    #[tokio::test]
    async fn blobs_of_encodings_that_no_manifest_has_are_removed_but_those_that_the_site_has_otherwise() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(&directory).await;
        let cut = |text: &'static [u8]| Content::cut(&Bytes::from_static(text)).0;
        let (encoded, unnamed, file) = (cut(b"encoded"), cut(b"faster"), cut(b"a file"));
        let erasure = planned(&database, "text", encoded.clone()).await;
        let of = erasure.contents[0].digest;
        for (level, encoded) in [(1, Some(&unnamed)), (2, Some(&file)), (3, None)] {
            let encoded = encoded.cloned();
            database.put_encodings(&demo(), &[EncodingRow { of, coding: Coding::Br, level, encoded }]).await.unwrap();
        }
        database.add_blobs(&demo(), &[(file.digest(), file.size())]).await.unwrap();
        let removed = erase(&database, &erasure, &SiteManifests::default()).await;
        assert_eq!(removed, Some([of, encoded.digest(), unnamed.digest()].into()));
        let records = database.erased_blobs().await.unwrap().into_iter().map(|blob| blob.digest);
        assert_eq!(records.collect::<HashSet<_>>(), removed.unwrap());
        database.close().await;
    }

    #[tokio::test]
    async fn encodings_of_a_content_that_was_erased_meanwhile_are_not_recorded_but_removed() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(&directory).await;
        let cut = |text: &'static [u8]| Content::cut(&Bytes::from_static(text)).0;
        let erasure = planned(&database, "text", cut(b"encoded")).await;
        let of = erasure.contents[0].digest;
        erase(&database, &erasure, &SiteManifests::default()).await.unwrap();
        let before: HashSet<_> = database.erased_blobs().await.unwrap().into_iter().collect();
        let late = cut(b"encoded late");
        let row = EncodingRow { of, coding: Coding::Gzip, level: 9, encoded: Some(late.clone()) };
        database.put_encodings(&demo(), &[row]).await.unwrap();
        assert_eq!(database.encoding(of, Coding::Gzip, 9).await.unwrap(), None);
        let after: HashSet<_> = database.erased_blobs().await.unwrap().into_iter().collect();
        let added: Vec<_> = after.difference(&before).map(|blob| (&blob.site, blob.digest)).collect();
        assert_eq!(added, [(&demo(), late.digest())]);
        assert!(database.needed_blobs(&[late.digest()].into()).await.unwrap().is_empty());
        database.close().await;
    }

    #[tokio::test]
    async fn erasure_that_was_planned_from_other_manifests_is_not_made() {
        let directory = tempfile::tempdir().unwrap();
        let database = database(&directory).await;
        let erasure = planned(&database, "text", Content::cut(&Bytes::from_static(b"encoded")).0).await;
        let digest = erasure.contents[0].digest;
        let released = SiteManifests { releases: vec![(ReleaseNumber(1), digest)], ..SiteManifests::default() };
        let in_use = SiteManifests { in_use: vec![(ChannelName::live(), digest)], ..SiteManifests::default() };
        let erased = SiteManifests { erased: [digest].into(), ..SiteManifests::default() };
        for from in [released, in_use, erased] {
            assert_eq!(erase(&database, &erasure, &from).await, None);
        }
        assert_eq!(database.erased(&demo()).await.unwrap(), HashMap::new());
        assert!(database.needed_blobs(&[digest].into()).await.unwrap().contains(&digest));
        database.close().await;
    }
}
