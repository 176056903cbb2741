//! Encodings made before.

use verge_protocol::{Coding, Content, Digest};

use super::{Database, StoreError, json_column, signed};

impl Database {
    /// The densest encoding of a content, at `level` at least: `None` if none was made, `Some(None)` if it saved nothing.
    pub(crate) async fn encoding(
        &self,
        digest: Digest,
        coding: Coding,
        level: u32,
    ) -> Result<Option<Option<Content>>, StoreError> {
        let row: Option<(Option<String>,)> = sqlx::query_as(
            "select content from encoding where digest = $1 and coding = $2 and level >= $3 order by level desc limit 1",
        )
        .bind(digest.to_string())
        .bind(coding.token())
        .bind(i64::from(level))
        .fetch_optional(self.read())
        .await?;
        row.map(|(content,)| content.map(|text| json_column("an encoding", &text)).transpose()).transpose()
    }

    /// Keeps encodings. To be called only after [`super::Blobs::sync`].
    pub(crate) async fn put_encodings(
        &self,
        made: &[(Digest, Coding, u32, Option<Content>)],
    ) -> Result<(), StoreError> {
        let mut transaction = self.begin().await?;
        for (digest, coding, level, content) in made {
            let content = content.as_ref().map(|content| serde_json::to_string(content).expect("plain data"));
            sqlx::query(
                "insert into encoding (digest, coding, level, content) values ($1, $2, $3, $4) \
                 on conflict (digest, coding, level) do nothing",
            )
            .bind(digest.to_string())
            .bind(coding.token())
            .bind(signed(u64::from(*level)))
            .bind(content)
            .execute(&mut *transaction)
            .await?;
        }
        transaction.commit().await?;
        Ok(())
    }
}
