//! Blobs that sites gave up by erasures and that may still be in the object store, and which blobs are needed.

use std::collections::HashSet;

use sqlx::AnyConnection;
use verge_protocol::{Digest, SiteName};

use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, encodings};

/// A blob that a site gave up.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ErasedBlob {
    pub(crate) site: SiteName,
    pub(crate) digest: Digest,
}

impl Database {
    /// The erased blobs that may still be in the object store.
    pub(crate) async fn erased_blobs(&self) -> Result<Vec<ErasedBlob>, StoreError> {
        let query = sqlx::query("select site, digest from erased_blob");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(site, digest): (String, String)| {
            Ok(ErasedBlob {
                site: column_values::parse("site", &site)?,
                digest: column_values::parse("digest", &digest)?,
            })
        };
        Ok(column_values::sound_rows("erased_blob", rows, parse))
    }

    /// Records that the erased blobs `removed` are not in the object store any more, and that those of `needed` which are so are needed
    /// again. Call it only after [`Blobs::sync`](super::Blobs::sync).
    pub(crate) async fn forget_erased_blobs(
        &self,
        removed: &[ErasedBlob],
        needed: &[ErasedBlob],
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        let mut still_needed = HashSet::new();
        if !needed.is_empty() {
            // An erasure that was made meanwhile may have given them up again.
            database::lock(&mut transaction).await?;
            let digests = needed.iter().map(|blob| blob.digest).collect();
            still_needed = self::needed(&mut transaction, &digests, None, &HashSet::new()).await?;
        }
        for blob in removed.iter().chain(needed.iter().filter(|blob| still_needed.contains(&blob.digest))) {
            sqlx::query("delete from erased_blob where site = $1 and digest = $2")
                .bind(blob.site.as_str())
                .bind(blob.digest.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Those of `blobs` that a site holds, that encodings have or are about to have, or that are manifests.
    pub(crate) async fn needed_blobs(&self, blobs: &HashSet<Digest>) -> Result<HashSet<Digest>, StoreError> {
        needed(&mut *self.read_connection().await?, blobs, None, &HashSet::new()).await
    }
}

/// Records that the site gave up these blobs.
pub(super) async fn add(
    transaction: &mut WriteTransaction,
    site: &SiteName,
    blobs: &HashSet<Digest>,
) -> Result<(), StoreError> {
    for blob in blobs {
        sqlx::query("insert into erased_blob (site, digest) values ($1, $2) on conflict (site, digest) do nothing")
            .bind(site.as_str())
            .bind(blob.to_string())
            .execute(&mut **transaction)
            .await?;
    }
    Ok(())
}

/// Those of `blobs` that a site other than `except` holds, that encodings of other contents than `contents` have or are about to have, or that
/// are manifests.
pub(super) async fn needed(
    connection: &mut AnyConnection,
    blobs: &HashSet<Digest>,
    except: Option<&SiteName>,
    contents: &HashSet<Digest>,
) -> Result<HashSet<Digest>, StoreError> {
    let mut needed = HashSet::new();
    for blob in blobs {
        let (rows,): (i64,) = sqlx::query_as(
            "select (select count(*) from blob where digest = $1 and site <> $2) \
             + (select count(*) from manifest where id = $1)",
        )
        .bind(blob.to_string())
        .bind(except.map_or("", SiteName::as_str))
        .fetch_one(&mut *connection)
        .await?;
        if rows > 0 || encodings::contents(connection, *blob).await?.iter().any(|of| !contents.contains(of)) {
            needed.insert(*blob);
        }
    }
    Ok(needed)
}

#[cfg(test)]
mod tests {
    use verge_protocol::Timestamp;

    use super::*;

    #[tokio::test]
    async fn record_of_an_erased_blob_that_another_erasure_made_meanwhile_stays() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let digest = Digest::of(b"secret");
        let [demo, news] = ["demo", "news"].map(|site| ErasedBlob { site: site.parse().unwrap(), digest });
        for ErasedBlob { site, digest } in [&demo, &news] {
            database.create_site(site, Timestamp(1000)).await.unwrap();
            database.add_blobs(site, &[(*digest, 6)]).await.unwrap();
        }
        let erase = async |blob: &ErasedBlob| {
            let mut transaction = database.begin().await.unwrap();
            add(&mut transaction, &blob.site, &[digest].into()).await.unwrap();
            let delete = sqlx::query("delete from blob where site = $1").bind(blob.site.as_str());
            delete.execute(&mut *transaction).await.unwrap();
            transaction.commit().await.unwrap();
        };
        erase(&demo).await;
        assert_eq!(database.needed_blobs(&[digest].into()).await.unwrap(), [digest].into(), "the other site holds it");
        // Here another erasure comes between finding that it is needed and forgetting it.
        erase(&news).await;
        database.forget_erased_blobs(&[], std::slice::from_ref(&demo)).await.unwrap();
        assert_eq!(database.erased_blobs().await.unwrap(), [demo.clone(), news.clone()]);
        database.forget_erased_blobs(std::slice::from_ref(&demo), &[]).await.unwrap();
        assert_eq!(database.erased_blobs().await.unwrap(), std::slice::from_ref(&news));
        database.add_blobs(&demo.site, &[(digest, 6)]).await.unwrap();
        database.forget_erased_blobs(&[], &[news]).await.unwrap();
        assert_eq!(database.erased_blobs().await.unwrap(), []);
        database.close().await;
    }
}
