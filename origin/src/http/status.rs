//! The status of the origin.

use axum::Json;
use axum::extract::State;
use verge_protocol::api::{PendingPurge, Status};

use super::auth::Admin;
use super::error::ApiError;
use crate::api_tls::ApiTls;
use crate::edge_reports::EdgeReports;
use crate::problems::Problems;
use crate::store::Database;

/// `GET /v1/status`: the position of the last write, the origin's version, what needs an operator, which purges are pending, and the
/// pin of its identity key.
pub(super) async fn show(
    _: Admin,
    State(database): State<Database>,
    State(problems): State<Problems>,
    State(reports): State<EdgeReports>,
    State(tls): State<ApiTls>,
) -> Result<Json<Status>, ApiError> {
    let (position, problems) = (database.position().await?, problems.list().await?);
    let mut purges = Vec::new();
    for (site, (seq, edges)) in reports.pending_purges() {
        let since = database.purge_time(&site, seq).await?;
        purges.push(PendingPurge { site, seq, since, edges });
    }
    Ok(Json(Status { position, version: env!("CARGO_PKG_VERSION").to_owned(), problems, purges, pin: tls.pin() }))
}
