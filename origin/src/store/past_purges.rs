//! The purges of a site so far.

use sqlx::AnyConnection;
use verge_protocol::purge::Purge;
use verge_protocol::{Seq, SiteName};

use super::column_values;
use super::error::StoreError;

/// The last purges of a site, the latest first, at most `limit`.
pub(super) async fn of_site(
    connection: &mut AnyConnection,
    site: &SiteName,
    limit: usize,
) -> Result<Vec<Purge>, StoreError> {
    let query = sqlx::query("select seq, scope from purge where site = $1 order by seq desc limit $2")
        .bind(site.as_str())
        .bind(column_values::signed(limit as u64));
    let rows = column_values::fetch_all(connection, query).await?;
    let parse = |(seq, scope): (i64, String)| {
        let seq = Seq(column_values::unsigned("sequence number", seq)?);
        Ok(Purge { seq, scope: column_values::parse("scope", &scope)? })
    };
    Ok(column_values::sound_rows("purge", rows, parse))
}
