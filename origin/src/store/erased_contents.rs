//! Which contents were erased from a site: rows of the table `erasure`.

use sqlx::AnyConnection;
use verge_protocol::{Digest, SiteName};

use super::error::StoreError;

/// Whether a content was erased from the site.
pub(super) async fn is_erased(
    connection: &mut AnyConnection,
    site: &SiteName,
    content: Digest,
) -> Result<bool, StoreError> {
    let row = sqlx::query("select 1 from erasure where site = $1 and content = $2")
        .bind(site.as_str())
        .bind(content.to_string())
        .fetch_optional(connection)
        .await?;
    Ok(row.is_some())
}
