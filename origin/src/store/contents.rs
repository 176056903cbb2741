//! Contents of several blobs whose digest was verified.

use verge_protocol::{Content, Digest};

use super::column_values;
use super::database::Database;
use super::error::StoreError;

impl Database {
    /// Whether this content, by its digest and its list of blobs, was verified before.
    pub(crate) async fn is_verified(&self, content: &Content) -> Result<bool, StoreError> {
        let row: Option<(String,)> = sqlx::query_as("select blobs from content where digest = $1")
            .bind(content.digest().to_string())
            .fetch_optional(self.read())
            .await?;
        let list = row.map(|(list,)| column_values::parse::<Digest>("digest", &list)).transpose()?;
        Ok(list == Some(list_digest(content)))
    }

    /// Records that this content was read in full and has the digest that it claims.
    pub(crate) async fn set_verified(&self, content: &Content) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        sqlx::query("insert into content (digest, blobs) values ($1, $2) on conflict (digest) do nothing")
            .bind(content.digest().to_string())
            .bind(list_digest(content).to_string())
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        Ok(())
    }
}

/// The digest of the list of blobs of a content.
pub(crate) fn list_digest(content: &Content) -> Digest {
    let list: Vec<u8> = content.slices().flat_map(|piece| *piece.digest.as_bytes()).collect();
    Digest::of(&list)
}
