//! Precompressed contents.
//!
//! A blob of an encoding is named in `encoding_blob` before it is stored, and until the content that was encoded is erased. So whatever happens
//! to the process meanwhile, no blob is removed that an encoding may need, and none stays in the store that only erased contents have.

use sqlx::AnyConnection;
use verge_protocol::{Blob, Coding, Content, Digest, SiteName};

use super::database::{self, Database};
use super::error::StoreError;
use super::write_transaction::WriteTransaction;
use super::{column_values, erased_contents};

/// An encoding of a content.
pub(crate) struct EncodingRow {
    /// The content that was encoded.
    pub(crate) of: Digest,
    pub(crate) coding: Coding,
    pub(crate) level: u32,
    /// The encoded bytes, cut into blobs; `None` if encoding saved nothing.
    pub(crate) encoded: Option<(Content, Vec<Blob>)>,
}

impl Database {
    /// The densest encoding of a content, of at least `level`: `None` if there is none yet, `Some(None)` if it saved nothing.
    pub(crate) async fn encoding(
        &self,
        of: Digest,
        coding: Coding,
        level: u32,
    ) -> Result<Option<Option<Content>>, StoreError> {
        let row: Option<(Option<String>,)> = sqlx::query_as(
            "select content from encoding where digest = $1 and coding = $2 and level >= $3 order by level desc limit 1",
        )
        .bind(of.to_string())
        .bind(coding.token())
        .bind(i64::from(level))
        .fetch_optional(self.read())
        .await?;
        row.map(|(content,)| content.map(|text| column_values::parse_json("encoding", &text)).transpose()).transpose()
    }

    /// Has `store` store the blobs of encodings of contents of the site, which includes [`Blobs::sync`](super::Blobs::sync), and records the
    /// encodings. Leaves out those of contents that were erased from the site. Call it under
    /// [`Blobs::prevent_removals`](super::Blobs::prevent_removals).
    pub(crate) async fn put_encodings<F>(
        &self,
        site: &SiteName,
        rows: Vec<EncodingRow>,
        store: impl FnOnce(Vec<Blob>) -> F,
    ) -> Result<(), StoreError>
    where
        F: Future<Output = Result<(), StoreError>>,
    {
        let rows = self.name_blobs(site, rows).await?;
        let blobs: Vec<Blob> =
            rows.iter().filter_map(|row| row.encoded.as_ref()).flat_map(|(_, blobs)| blobs).cloned().collect();
        if !blobs.is_empty() {
            store(blobs).await?;
        }
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        for row in rows {
            // Erased meanwhile: its blobs are to be removed.
            if erased_contents::is_erased(&mut transaction, site, row.of).await? {
                continue;
            }
            let encoded = row.encoded.map(|(content, _)| serde_json::to_string(&content).expect("plain data"));
            sqlx::query(
                "insert into encoding (digest, coding, level, content) values ($1, $2, $3, $4) \
                 on conflict (digest, coding, level) do nothing",
            )
            .bind(row.of.to_string())
            .bind(row.coding.token())
            .bind(i64::from(row.level))
            .bind(encoded)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await
    }

    /// Records that the blobs of these encodings may be in the store. Returns the encodings whose contents were not erased.
    async fn name_blobs(&self, site: &SiteName, rows: Vec<EncodingRow>) -> Result<Vec<EncodingRow>, StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        let mut named = Vec::new();
        for row in rows {
            if erased_contents::is_erased(&mut transaction, site, row.of).await? {
                continue;
            }
            for slice in row.encoded.iter().flat_map(|(content, _)| content.slices()) {
                sqlx::query("insert into encoding_blob (digest, content) values ($1, $2) on conflict do nothing")
                    .bind(slice.digest.to_string())
                    .bind(row.of.to_string())
                    .execute(&mut *transaction)
                    .await?;
            }
            named.push(row);
        }
        transaction.commit().await?;
        Ok(named)
    }
}

/// The blobs that encodings of a content may have in the store.
pub(super) async fn blobs(connection: &mut AnyConnection, of: Digest) -> Result<Vec<Digest>, StoreError> {
    digests(connection, "select digest from encoding_blob where content = $1", of).await
}

/// The contents whose encodings may have a blob in the store.
pub(super) async fn contents(connection: &mut AnyConnection, blob: Digest) -> Result<Vec<Digest>, StoreError> {
    digests(connection, CONTENTS, blob).await
}

const CONTENTS: &str = "select content from encoding_blob where digest = $1";

async fn digests(connection: &mut AnyConnection, query: &'static str, of: Digest) -> Result<Vec<Digest>, StoreError> {
    let rows = column_values::fetch_all(connection, sqlx::query(query).bind(of.to_string())).await?;
    let parse = |(digest,): (String,)| column_values::parse("digest", &digest);
    Ok(column_values::sound_rows("encoding_blob", rows, parse))
}

/// Whether an encoding has a blob.
pub(super) async fn have_blob(connection: &mut AnyConnection, blob: Digest) -> Result<bool, StoreError> {
    let query = sqlx::query(HAVE_BLOB).bind(blob.to_string()).bind(format!("%{blob}%"));
    Ok(query.fetch_optional(connection).await?.is_some())
}

const HAVE_BLOB: &str = "select 1 from encoding where digest in (select content from encoding_blob where digest = $1) \
                         and content like $2 limit 1";

/// Deletes the encodings that have a blob, which is corrupt or missing. Their other blobs stay named: they are in the store.
pub(super) async fn delete_with_blob(transaction: &mut WriteTransaction, blob: Digest) -> Result<(), StoreError> {
    let query = sqlx::query(DELETE_WITH_BLOB).bind(blob.to_string()).bind(format!("%{blob}%"));
    query.execute(&mut **transaction).await?;
    Ok(())
}

const DELETE_WITH_BLOB: &str = "delete from encoding where digest in (select content from encoding_blob where digest = $1) \
                                and content like $2";

/// Deletes all encodings of a content, which is erased, and the names of their blobs.
pub(super) async fn delete(transaction: &mut WriteTransaction, of: Digest) -> Result<(), StoreError> {
    for query in ["delete from encoding where digest = $1", "delete from encoding_blob where content = $1"] {
        sqlx::query(query).bind(of.to_string()).execute(&mut **transaction).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use bytes::Bytes;
    use sqlx::{AssertSqlSafe, Row as _};
    use verge_protocol::Timestamp;

    use super::*;

    fn demo() -> SiteName {
        "demo".parse().unwrap()
    }

    async fn open(directory: &Path) -> Database {
        let database = Database::open(&directory.join("origin.db"), Timestamp(1000)).await.unwrap();
        database.create_site(&demo(), Timestamp(1000)).await.unwrap();
        database
    }

    fn encoding(of: Digest, encoded: &[u8]) -> EncodingRow {
        let encoded = Some(Content::cut(&Bytes::copy_from_slice(encoded)));
        EncodingRow { of, coding: Coding::Br, level: 11, encoded }
    }

    #[tokio::test]
    async fn blob_is_needed_before_it_is_stored_and_its_encoding_recorded_after_that() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        let (of, blob) = (Digest::of(b"text"), Digest::of(b"encoded"));
        let store = |blobs: Vec<Blob>| {
            let database = database.clone();
            async move {
                assert_eq!(blobs.iter().map(Blob::digest).collect::<Vec<_>>(), [blob]);
                assert_eq!(database.needed_blobs(&[blob].into()).await.unwrap(), [blob].into());
                assert_eq!(database.encoding(of, Coding::Br, 11).await.unwrap(), None);
                Ok(())
            }
        };
        database.put_encodings(&demo(), vec![encoding(of, b"encoded")], store).await.unwrap();
        assert!(database.encoding(of, Coding::Br, 11).await.unwrap().is_some());
        database.close().await;
    }

    #[tokio::test]
    async fn corrupt_blob_deletes_the_encodings_that_have_it_and_its_name_stays() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        let (one, other) = (Digest::of(b"one"), Digest::of(b"other"));
        let rows = vec![encoding(one, b"encoded"), encoding(other, b"another")];
        database.put_encodings(&demo(), rows, async |_| Ok(())).await.unwrap();
        database.forget_blob(Digest::of(b"encoded")).await.unwrap();
        assert_eq!(database.encoding(one, Coding::Br, 11).await.unwrap(), None);
        assert!(database.encoding(other, Coding::Br, 11).await.unwrap().is_some());
        let named = blobs(&mut database.read_connection().await.unwrap(), one).await.unwrap();
        assert_eq!(named, [Digest::of(b"encoded")]);
        database.close().await;
    }

    #[tokio::test]
    async fn encodings_with_a_blob_are_found_by_indexes() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        for query in [CONTENTS, HAVE_BLOB, DELETE_WITH_BLOB] {
            let plan = sqlx::query(AssertSqlSafe(format!("explain query plan {query}"))).bind("a").bind("b");
            let rows = plan.fetch_all(database.read()).await.unwrap();
            let steps: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
            assert!(steps[0].starts_with("SEARCH") && !steps.iter().any(|step| step.starts_with("SCAN")), "{steps:?}");
        }
        database.close().await;
    }

    #[tokio::test]
    async fn blobs_of_encodings_in_an_older_database_are_named_but_for_those_of_damaged_rows() {
        let directory = tempfile::tempdir().unwrap();
        let database = open(directory.path()).await;
        let of = Digest::of(b"text");
        let (large, _) = Content::cut(&Bytes::from(vec![7; (512 << 10) + 1]));
        let small = Content::cut(&Bytes::from_static(b"encoded")).0;
        let json = |content: &Content| Some(serde_json::to_string(content).unwrap());
        let mut transaction = database.begin().await.unwrap();
        let rows = [json(&large), json(&small), json(&small), None, Some("{".to_owned()), Some("[7]".to_owned())];
        for (level, content) in (1_i64..).zip(rows) {
            let query = sqlx::query("insert into encoding (digest, coding, level, content) values ($1, 'br', $2, $3)");
            query.bind(of.to_string()).bind(level).bind(content).execute(&mut *transaction).await.unwrap();
        }
        for undo in ["drop table encoding_blob", "delete from _sqlx_migrations where version = 18"] {
            sqlx::query(undo).execute(&mut *transaction).await.unwrap();
        }
        transaction.commit().await.unwrap();
        database.close().await;

        let database = open(directory.path()).await;
        let mut named = blobs(&mut database.read_connection().await.unwrap(), of).await.unwrap();
        let mut expected: Vec<_> = large.slices().chain(small.slices()).map(|slice| slice.digest).collect();
        named.sort();
        expected.sort();
        expected.dedup();
        assert_eq!((named.len(), named), (3, expected));
        database.close().await;
    }
}
