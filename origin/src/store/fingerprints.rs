//! What fingerprinted paths were first released with.

use std::collections::HashMap;

use verge_protocol::{Digest, SiteName};

use super::{Database, StoreError, column};

impl Database {
    /// The bytes that each fingerprinted path of the site was first released with.
    pub(crate) async fn fingerprints(&self, site: &SiteName) -> Result<HashMap<String, Digest>, StoreError> {
        let rows: Vec<(String, String)> = sqlx::query_as("select path, digest from fingerprint where site = $1")
            .bind(site.as_str())
            .fetch_all(self.read())
            .await?;
        rows.into_iter().map(|(path, digest)| Ok((path, column("a digest", &digest)?))).collect()
    }
}
