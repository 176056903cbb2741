//! Releases and their manifests.

use sqlx::{Any, Transaction};
use verge_protocol::api::Provenance;
use verge_protocol::{Content, Digest, ReleaseNumber, SiteName, SitePath, Timestamp};

use super::{Database, StoreError, column, json_column, signed, unsigned};

/// A release.
pub(crate) struct ReleaseRow {
    pub(crate) number: ReleaseNumber,
    pub(crate) manifest: Digest,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) created: Timestamp,
    pub(crate) provenance: Provenance,
}

/// A release to be made, in the transaction that moves a channel to it.
pub(crate) struct NewRelease {
    /// The manifest's own bytes, already stored.
    pub(crate) manifest: Content,
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) provenance: Provenance,
    /// Fingerprinted paths and their bytes, for [`Database::fingerprints`].
    pub(crate) fingerprints: Vec<(SitePath, Digest)>,
}

type Columns = (i64, String, i64, i64, i64, Option<String>, Option<String>, Option<String>);
const COLUMNS: &str = "number, manifest, files, bytes, created, author, message, revision";

fn release(columns: Columns) -> Result<ReleaseRow, StoreError> {
    let (number, manifest, files, bytes, created, author, message, commit) = columns;
    Ok(ReleaseRow {
        number: ReleaseNumber(unsigned("a release number", number)?),
        manifest: column("a digest", &manifest)?,
        files: unsigned("a number of files", files)?,
        bytes: unsigned("a number of bytes", bytes)?,
        created: Timestamp(unsigned("a time", created)?),
        provenance: Provenance { author, message, commit },
    })
}

impl Database {
    /// The releases of a site, the newest first.
    pub(crate) async fn releases(&self, site: &SiteName) -> Result<Vec<ReleaseRow>, StoreError> {
        let query = format!("select {COLUMNS} from release where site = $1 order by number desc");
        let rows = sqlx::query_as(sqlx::AssertSqlSafe(query)).bind(site.as_str()).fetch_all(self.read()).await?;
        rows.into_iter().map(release).collect()
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
            .bind(signed(number.0))
            .fetch_optional(self.read())
            .await?;
        row.map(release).transpose()
    }

    /// Where the bytes of a manifest are.
    pub(crate) async fn manifest(&self, id: Digest) -> Result<Option<Content>, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("select content from manifest where id = $1")
            .bind(id.to_string())
            .fetch_optional(self.read())
            .await?;
        row.map(|(content,)| json_column("a manifest's content", &content)).transpose()
    }
}

/// Makes a release, with the next number of its site.
pub(super) async fn insert(
    transaction: &mut Transaction<'static, Any>,
    site: &SiteName,
    new: &NewRelease,
    now: Timestamp,
) -> Result<ReleaseNumber, StoreError> {
    let id = new.manifest.digest().to_string();
    sqlx::query("insert into manifest (id, content) values ($1, $2) on conflict (id) do nothing")
        .bind(&id)
        .bind(serde_json::to_string(&new.manifest).expect("plain data serializes"))
        .execute(&mut **transaction)
        .await?;
    for (path, digest) in &new.fingerprints {
        sqlx::query(
            "insert into fingerprint (site, path, digest) values ($1, $2, $3) on conflict (site, path) do nothing",
        )
        .bind(site.as_str())
        .bind(path.as_str())
        .bind(digest.to_string())
        .execute(&mut **transaction)
        .await?;
    }
    let (number,): (i64,) = sqlx::query_as(
        "insert into release (site, number, manifest, files, bytes, created, author, message, revision) \
         select $1, coalesce(max(number), 0) + 1, $2, $3, $4, $5, $6, $7, $8 from release where site = $1 \
         returning number",
    )
    .bind(site.as_str())
    .bind(&id)
    .bind(signed(new.files))
    .bind(signed(new.bytes))
    .bind(signed(now.0))
    .bind(new.provenance.author.clone())
    .bind(new.provenance.message.clone())
    .bind(new.provenance.commit.clone())
    .fetch_one(&mut **transaction)
    .await?;
    Ok(ReleaseNumber(unsigned("a release number", number)?))
}
