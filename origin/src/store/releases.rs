//! Releases, their manifests, and the history of the bytes of fingerprinted paths.

use std::collections::HashMap;

use verge_protocol::api::Provenance;
use verge_protocol::state::{Key, ReleaseState};
use verge_protocol::{Content, Digest, IdempotencyKey, ReleaseNumber, SiteName, SitePath, Timestamp};

use super::channel_lifetimes::{self, NewLifetime};
use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, state};

/// A release.
pub(crate) struct ReleaseRow {
    pub(crate) number: ReleaseNumber,
    pub(crate) manifest: Digest,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) created: Timestamp,
    pub(crate) provenance: Provenance,
}

/// A release to be created by the transaction that begins its rollout.
pub(crate) struct NewRelease {
    /// The bytes of the manifest, already stored.
    pub(crate) manifest: Content,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) provenance: Provenance,
    /// Paths whose names may contain a hash, for [`Database::fingerprints`].
    pub(crate) fingerprints: Vec<NewFingerprint>,
    /// What the publisher should know about accepted files.
    pub(crate) warnings: Vec<String>,
    /// How long the channel that it was pushed to exists; `None`: as the last push said.
    pub(crate) lifetime: Option<NewLifetime>,
}

/// The bytes that a release has at a path whose name may contain a hash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NewFingerprint {
    pub(crate) path: SitePath,
    pub(crate) digest: Digest,
    /// Whether the release marks the path immutable.
    pub(crate) immutable: bool,
}

/// What the releases of a site had at a path whose name may contain a hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Fingerprint {
    /// Of the bytes of the first release that had the path.
    pub(crate) digest: Digest,
    /// Whether a release marked the path immutable. The bytes were the first ones then.
    pub(crate) immutable: bool,
    /// Whether a release had other bytes there.
    pub(crate) changed: bool,
}

type Columns = (i64, String, i64, i64, i64, Option<String>, Option<String>, Option<String>);
const COLUMNS: &str = "number, manifest, files, bytes, created, author, message, git_commit";

fn from_columns(columns: Columns) -> Result<ReleaseRow, StoreError> {
    let (number, manifest, files, bytes, created, author, message, commit) = columns;
    Ok(ReleaseRow {
        number: ReleaseNumber(column_values::unsigned("release number", number)?),
        manifest: column_values::parse("digest", &manifest)?,
        files: column_values::unsigned("number of files", files)?,
        bytes: column_values::unsigned("number of bytes", bytes)?,
        created: Timestamp(column_values::unsigned("time", created)?),
        provenance: Provenance { author, message, commit },
    })
}

impl Database {
    /// The releases of a site, the newest first.
    pub(crate) async fn releases(&self, site: &SiteName) -> Result<Vec<ReleaseRow>, StoreError> {
        let query = format!("select {COLUMNS} from release where site = $1 order by number desc");
        let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(site.as_str());
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        Ok(column_values::sound_rows("release", rows, from_columns))
    }

    /// One release of a site.
    pub(crate) async fn release(
        &self,
        site: &SiteName,
        number: ReleaseNumber,
    ) -> Result<Option<ReleaseRow>, StoreError> {
        let query = format!("select {COLUMNS} from release where site = $1 and number = $2");
        let row = sqlx::query_as(sqlx::AssertSqlSafe(query))
            .bind(site.as_str())
            .bind(column_values::signed(number.0))
            .fetch_optional(self.read())
            .await?;
        row.map(from_columns).transpose()
    }

    /// Whether a site has a release, even if its row is damaged.
    pub(crate) async fn has_release(&self, site: &SiteName, number: ReleaseNumber) -> Result<bool, StoreError> {
        let found: Option<(i64,)> = sqlx::query_as("select number from release where site = $1 and number = $2")
            .bind(site.as_str())
            .bind(column_values::signed(number.0))
            .fetch_optional(self.read())
            .await?;
        Ok(found.is_some())
    }

    /// Writes the rows of the feed that releases lack: those of an origin of an earlier version. Returns how many it wrote. Writes nothing
    /// if none is missing: the disk may be full.
    pub(crate) async fn add_missing_release_rows(&self) -> Result<usize, StoreError> {
        let query = sqlx::query(
            "select site, number, manifest from release \
             where not exists (select 1 from state where key = 'release/' || site || '/v' || number) \
             order by site, number",
        );
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(site, number, manifest): (String, i64, String)| {
            let number = ReleaseNumber(column_values::unsigned("release number", number)?);
            let manifest = column_values::parse("digest", &manifest)?;
            Ok((Key::Release(column_values::parse("site name", &site)?, number), ReleaseState { manifest }))
        };
        let missing = column_values::sound_rows("release", rows, parse);
        if missing.is_empty() {
            return Ok(0);
        }
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let mut written = 0;
        for (key, state) in &missing {
            written += usize::from(state::set(&mut transaction, key, Some(state)).await?);
        }
        transaction.commit().await?;
        Ok(written)
    }

    /// The content that holds the bytes of a manifest.
    pub(crate) async fn manifest(&self, id: Digest) -> Result<Option<Content>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("select content from manifest where id = $1")
            .bind(id.to_string())
            .fetch_optional(self.read())
            .await?;
        row.map(|(content,)| column_values::parse_json("manifest content", &content)).transpose()
    }

    /// What the releases of the site had at each path whose name may contain a hash.
    pub(crate) async fn fingerprints(&self, site: &SiteName) -> Result<HashMap<String, Fingerprint>, StoreError> {
        let query = sqlx::query("select path, digest, immutable, changed from fingerprint where site = $1");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query.bind(site.as_str())).await?;
        let parse = |(path, digest, immutable, changed): (String, String, i64, i64)| {
            let digest = column_values::parse("digest", &digest)?;
            Ok((path, Fingerprint { digest, immutable: immutable != 0, changed: changed != 0 }))
        };
        Ok(column_values::sound_rows("fingerprint", rows, parse).into_iter().collect())
    }
}

/// Creates a release with the next number of its site, and its row of the feed, which takes a sequence number. The transaction must begin
/// with [`database::lock`].
pub(super) async fn insert(
    transaction: &mut WriteTransaction,
    site: &SiteName,
    new: &NewRelease,
    key: Option<&IdempotencyKey>,
    now: Timestamp,
) -> Result<ReleaseNumber, StoreError> {
    let id = new.manifest.digest().to_string();
    sqlx::query("insert into manifest (id, content) values ($1, $2) on conflict (id) do nothing")
        .bind(&id)
        .bind(serde_json::to_string(&new.manifest).expect("plain data serializes"))
        .execute(&mut **transaction)
        .await?;
    for NewFingerprint { path, digest, immutable } in &new.fingerprints {
        // Most rows exist and stay as they are: they are not written again.
        sqlx::query(
            "insert into fingerprint (site, path, digest, immutable, changed) values ($1, $2, $3, $4, 0) \
             on conflict (site, path) do update set \
             changed = case when fingerprint.digest = excluded.digest then fingerprint.changed else 1 end, \
             immutable = case when excluded.immutable = 1 then 1 else fingerprint.immutable end \
             where (fingerprint.digest <> excluded.digest and fingerprint.changed = 0) \
             or (excluded.immutable = 1 and fingerprint.immutable = 0)",
        )
        .bind(site.as_str())
        .bind(path.as_str())
        .bind(digest.to_string())
        .bind(i64::from(*immutable))
        .execute(&mut **transaction)
        .await?;
    }
    let warnings = (!new.warnings.is_empty()).then(|| serde_json::to_string(&new.warnings).expect("texts serialize"));
    let (number,): (i64,) = sqlx::query_as(
        "insert into release (site, number, manifest, files, bytes, created, author, message, git_commit, \
         idempotency_key, warnings) \
         select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8, $9, $10 from \
         (select number from release where site = $1 union all select number from deleted_release where site = $1 \
         union all select release from channel_move where site = $1) as known \
         returning number",
    )
    .bind(site.as_str())
    .bind(&id)
    .bind(column_values::signed(new.files))
    .bind(column_values::signed(new.bytes))
    .bind(column_values::signed(now.0))
    .bind(new.provenance.author.clone())
    .bind(new.provenance.message.clone())
    .bind(new.provenance.commit.clone())
    .bind(key.map(IdempotencyKey::as_str))
    .bind(warnings)
    .fetch_one(&mut **transaction)
    .await?;
    let number = ReleaseNumber(column_values::unsigned("release number", number)?);
    let state = ReleaseState { manifest: new.manifest.digest() };
    state::rewrite(transaction, &Key::Release(site.clone(), number), Some(&state)).await?;
    if let Some(lifetime) = &new.lifetime {
        channel_lifetimes::put(transaction, site, number, lifetime).await?;
    }
    Ok(number)
}
