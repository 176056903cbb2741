//! Edges: their settings, tokens and reports.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use verge_daemon::Clock;
use verge_protocol::api::{Edge as EdgeBody, EdgeSettings, ForceEdge, IssuedToken, TokenOwner};
use verge_protocol::fleet::EdgeState;
use verge_protocol::report::{BYTES_MAX, EdgeReport};
use verge_protocol::{Checkpoint, EdgeName};

use super::auth::{self, Admin, Edge};
use super::error::ApiError;
use super::extract::{JsonBody, PathParams};
use crate::edge_reports::{EdgeReports, LastReport};
use crate::edge_settings;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::store::Database;

/// `GET /v1/edges`: every edge that is configured, has a token, or reported since the origin started, by name.
pub(super) async fn list(
    _: Admin,
    State(database): State<Database>,
    State(reports): State<EdgeReports>,
) -> Result<Json<Vec<EdgeBody>>, ApiError> {
    let mut configured = database.edges().await?;
    let mut last_reports = reports.all();
    let with_token: BTreeSet<EdgeName> = database.edges_with_token().await?.into_iter().collect();
    let mut names = with_token.clone();
    names.extend(configured.keys().chain(last_reports.keys()).cloned());
    let edge = |name: EdgeName| {
        let (state, last) = (configured.remove(&name), last_reports.remove(&name));
        let is_live = last.as_ref().is_some_and(|last| reports.is_live(last));
        let has_token = with_token.contains(&name);
        describe(name, state, has_token, is_live, last)
    };
    Ok(Json(names.into_iter().map(edge).collect()))
}

fn describe(
    name: EdgeName,
    state: Option<EdgeState>,
    has_token: bool,
    live: bool,
    last: Option<LastReport>,
) -> EdgeBody {
    let Some(last) = last else {
        return EdgeBody {
            name,
            url: None,
            live,
            draining: false,
            last_seen: None,
            applied: None,
            lagging: Vec::new(),
            lagging_omitted: 0,
            preparations: Vec::new(),
            purging: Vec::new(),
            purging_omitted: 0,
            version: None,
            state,
            has_token,
        };
    };
    let report = EdgeReport::clone(&last.report);
    EdgeBody {
        name,
        live,
        draining: report.draining,
        last_seen: Some(last.time),
        url: report.url,
        applied: Some(report.applied),
        lagging: report.lagging,
        lagging_omitted: report.lagging_omitted,
        preparations: report.preparations.unwrap_or_default(),
        purging: report.purging,
        purging_omitted: report.purging_omitted,
        version: Some(report.version),
        state,
        has_token,
    }
}

/// `PUT /v1/edges/{edge}`: configures how readers are sent to an edge.
pub(super) async fn configure(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    State(fleet): State<Fleet>,
    PathParams(edge): PathParams<EdgeName>,
    JsonBody(settings): JsonBody<EdgeSettings>,
) -> Result<Json<EdgeState>, ApiError> {
    let state = edge_settings::configure(&database, &feed, edge, settings).await?;
    fleet.reload().await?;
    Ok(Json(state))
}

/// `PUT /v1/edges/{edge}/force`: forces the state of an edge, whatever its probes report.
pub(super) async fn force(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    State(fleet): State<Fleet>,
    PathParams(edge): PathParams<EdgeName>,
    JsonBody(ForceEdge { force }): JsonBody<ForceEdge>,
) -> Result<Json<EdgeState>, ApiError> {
    let state = edge_settings::force(&database, &feed, edge, force).await?;
    fleet.reload().await?;
    Ok(Json(state))
}

/// `DELETE /v1/edges/{edge}`: removes an edge and its token. Its subscription to the feed ends at once.
pub(super) async fn remove(
    _: Admin,
    State(database): State<Database>,
    State(feed): State<Feed>,
    State(reports): State<EdgeReports>,
    State(fleet): State<Fleet>,
    PathParams(edge): PathParams<EdgeName>,
) -> Result<StatusCode, ApiError> {
    edge_settings::remove(&database, &feed, &reports, edge).await?;
    feed.tokens_changed();
    fleet.reload().await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /v1/edges/{edge}/token`: issues an edge's token. An earlier one stops working.
pub(super) async fn issue_token(
    _: Admin,
    State(database): State<Database>,
    State(clock): State<Clock>,
    State(feed): State<Feed>,
    State(fleet): State<Fleet>,
    PathParams(edge): PathParams<EdgeName>,
) -> Result<Json<IssuedToken>, ApiError> {
    let token = auth::issue_token(&database, TokenOwner::Edge(edge), clock.now()).await?;
    feed.tokens_changed();
    fleet.reload().await?;
    Ok(token)
}

/// `POST /v1/edges/report`: records a report of the edge whose token the request carries. An edge of another name is refused, because
/// its report would replace that of the token's owner.
pub(super) async fn report(
    Edge(edge, token): Edge,
    State(database): State<Database>,
    State(reports): State<EdgeReports>,
    State(clock): State<Clock>,
    State(metrics): State<Arc<Metrics>>,
    JsonBody(report): JsonBody<EdgeReport, BYTES_MAX>,
) -> Result<StatusCode, ApiError> {
    if let Some(sender) = report.edge.as_ref().filter(|sender| **sender != edge) {
        tracing::warn!(%sender, token_owner = %edge, "report refused: an edge sent the token of another edge");
        let message = format!("the token belongs to edge {edge}, but the report is from edge {sender}");
        return Err(ApiError::new(StatusCode::FORBIDDEN, "wrong_token", message)
            .hint(format!("send the token of {sender}; POST /v1/edges/{sender}/token issues one")));
    }
    let report = report.bounded();
    let checkpoint = report.history.map(|history| Checkpoint { position: report.applied, history });
    let relation = match checkpoint {
        Some(checkpoint) => Some(database.relation(checkpoint).await?),
        None => None,
    };
    // Once more: the token may have been revoked while the body was received.
    let check = async {
        let is_owner = database.token_owner(token).await? == Some(TokenOwner::Edge(edge.clone()));
        if is_owner { Ok(()) } else { Err(auth::revoked()) }
    };
    reports.record_checked(edge.clone(), report, relation, clock.now(), check).await?;
    metrics.edge_reports.inc();
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use axum::response::IntoResponse as _;
    use verge_protocol::{Digest, Timestamp};

    use super::*;

    /// A report whose token worked when the request began.
    async fn report_of(database: &Database, reports: &EdgeReports, token: Digest, version: &str) -> StatusCode {
        let body = JsonBody(EdgeReport::new("1-0".parse().unwrap(), version));
        let (database, reports) = (State(database.clone()), State(reports.clone()));
        let clock = State(Clock::manual(Timestamp(1000)));
        report(Edge(fra_1(), token), database, reports, clock, State(Arc::default()), body)
            .await
            .into_response()
            .status()
    }

    fn fra_1() -> EdgeName {
        "fra-1".parse().unwrap()
    }

    #[tokio::test]
    async fn report_that_overtakes_the_removal_of_its_edge_is_refused_and_not_kept() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let (token, reports) = (Digest::of(b"token"), EdgeReports::default());
        database.put_token(token, &TokenOwner::Edge(fra_1()), Timestamp(1000)).await.unwrap();
        assert_eq!(report_of(&database, &reports, token, "0.1.0").await, StatusCode::NO_CONTENT);
        assert!(reports.all().contains_key(&fra_1()));
        database.remove_edge(&fra_1()).await.unwrap();
        reports.forget(&fra_1()).await;
        assert_eq!(report_of(&database, &reports, token, "0.1.0").await, StatusCode::UNAUTHORIZED);
        assert!(reports.all().is_empty());
        database.close().await;
    }

    #[tokio::test]
    async fn report_whose_token_was_replaced_is_refused_and_that_with_the_new_token_stays() {
        let directory = tempfile::tempdir().unwrap();
        let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
        let [old, new] = [b"old", b"new"].map(|token| Digest::of(token));
        let reports = EdgeReports::default();
        for token in [old, new] {
            database.put_token(token, &TokenOwner::Edge(fra_1()), Timestamp(1000)).await.unwrap();
        }
        assert_eq!(report_of(&database, &reports, new, "0.2.0").await, StatusCode::NO_CONTENT);
        assert_eq!(report_of(&database, &reports, old, "0.1.0").await, StatusCode::UNAUTHORIZED);
        assert_eq!(reports.all()[&fra_1()].report.version, "0.2.0");
        database.close().await;
    }
}
