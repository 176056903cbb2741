//! Blobs that sites gave up by erasures and that may still be in the object store, and which blobs are needed.

use std::collections::HashSet;

use futures_util::StreamExt as _;
use sqlx::{AnyConnection, FromRow as _};
use verge_protocol::{Content, Digest, SiteName};

use super::column_values;
use super::database::Database;
use super::error::StoreError;
use super::write_transaction::WriteTransaction;

impl Database {
    /// The erased blobs that may still be in the object store, each once.
    pub(crate) async fn erased_blobs(&self) -> Result<Vec<Digest>, StoreError> {
        let query = sqlx::query("select distinct digest from erased_blob");
        let rows = column_values::fetch_all(&mut *self.read_connection().await?, query).await?;
        let parse = |(digest,): (String,)| column_values::parse("digest", &digest);
        Ok(column_values::sound_rows("erased_blob", rows, parse))
    }

    /// Records that these erased blobs are not in the object store any more, or are needed again. Call it only after
    /// [`Blobs::sync`](super::Blobs::sync).
    pub(crate) async fn forget_erased_blobs(&self, blobs: &[Digest]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for blob in blobs {
            sqlx::query("delete from erased_blob where digest = $1")
                .bind(blob.to_string())
                .execute(&mut *transaction)
                .await?;
        }
        transaction.commit().await
    }

    /// Those of `blobs` that a site holds, that encodings have, or that are manifests.
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

/// Those of `blobs` that a site other than `except` holds, that encodings of other contents than `contents` have, or that are manifests.
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
        if rows > 0 {
            needed.insert(*blob);
        }
    }
    if needed.len() == blobs.len() {
        return Ok(needed);
    }
    // One by one: there may be many.
    let mut rows = sqlx::query("select digest, content from encoding where content is not null").fetch(connection);
    while let Some(row) = rows.next().await {
        let row = match row {
            Err(error) if !column_values::is_undecodable(&error) => return Err(error.into()),
            row => row,
        };
        let parse = |(digest, content): (String, String)| {
            let content: Content = column_values::parse_json("encoding", &content)?;
            Ok((column_values::parse::<Digest>("digest", &digest)?, content))
        };
        let encoding = row.and_then(|row| <(String, String)>::from_row(&row)).map_err(StoreError::from).and_then(parse);
        let Some((of, content)) = column_values::log_unreadable("encoding", encoding) else { continue };
        if !contents.contains(&of) {
            needed.extend(content.slices().map(|slice| slice.digest).filter(|digest| blobs.contains(digest)));
        }
    }
    Ok(needed)
}
