//! The health page of an edge, on any host: for monitors, name servers, and `verge push`.

use http::StatusCode;
use verge_protocol::Seq;
use verge_protocol::health::EdgeHealth;

use super::builtin_responses::BuiltinResponse;
use crate::status::{AppliedState, ServingStatus};

/// 200 if the edge can serve, however old its releases are; 503 otherwise.
pub(super) fn response(status: &ServingStatus) -> BuiltinResponse {
    let applied = status.applied.borrow();
    let health = EdgeHealth {
        edge: status.edge.clone(),
        generation: applied.position.map(|position| position.generation),
        applied: applied.position.map(|position| position.seq),
        served: served(&applied),
        pending: applied.lagging.len(),
        missing_blobs: status.missing_blobs.get(),
        saving: applied.not_saving.is_none(),
        origin_last_seen_seconds: status.last_seen.elapsed().map(|ago| ago.as_secs()),
        draining: status.draining.is_cancelled(),
    };
    let code = if applied.can_serve() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    BuiltinResponse::json(code, serde_json::to_string(&health).expect("plain data serializes"))
}

/// The last row before the first that lags.
fn served(applied: &AppliedState) -> Option<Seq> {
    let before_first_lag = applied.lagging.iter().map(|lag| Seq(lag.seq.0.saturating_sub(1))).min();
    applied.position.map(|position| before_first_lag.map_or(position.seq, |seq| seq.min(position.seq)))
}
