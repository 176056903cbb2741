//! Precompressed contents.

use sqlx::AnyConnection;
use verge_protocol::{Coding, Content, Digest, SiteName};

use super::database::{self, Database};
use super::error::StoreError;
use super::{column_values, erased_blobs};

/// An encoding of a content.
pub(crate) struct EncodingRow {
    /// The content that was encoded.
    pub(crate) of: Digest,
    pub(crate) coding: Coding,
    pub(crate) level: u32,
    /// The encoded bytes; `None` if encoding saved nothing.
    pub(crate) encoded: Option<Content>,
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

    /// Records encodings of contents of the site; of one that was erased from it meanwhile, records that the blobs are to be removed. Call
    /// it only after [`Blobs::sync`](super::Blobs::sync).
    pub(crate) async fn put_encodings(&self, site: &SiteName, rows: &[EncodingRow]) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        database::lock(&mut transaction).await?;
        for row in rows {
            if erased_blobs::is_erased(&mut transaction, site, row.of).await? {
                let blobs = row.encoded.iter().flat_map(Content::slices).map(|slice| slice.digest).collect();
                erased_blobs::add(&mut transaction, site, &blobs).await?;
                continue;
            }
            let encoded = row.encoded.as_ref().map(|content| serde_json::to_string(content).expect("plain data"));
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
        transaction.commit().await?;
        Ok(())
    }
}

/// The blobs of all encodings of a content.
pub(super) async fn blobs(connection: &mut AnyConnection, of: Digest) -> Result<Vec<Digest>, StoreError> {
    let query = sqlx::query("select content from encoding where digest = $1 and content is not null");
    let rows = column_values::fetch_all(connection, query.bind(of.to_string())).await?;
    let parse = |(content,): (String,)| column_values::parse_json::<Content>("encoding", &content);
    let encodings = column_values::sound_rows("encoding", rows, parse);
    Ok(encodings.iter().flat_map(Content::slices).map(|slice| slice.digest).collect())
}
