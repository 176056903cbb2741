//! What an edge says of itself to whoever asks, on any host: monitors, name servers, and `verge push --wait`.

use http::StatusCode;
use verge_protocol::Seq;
use verge_protocol::health::EdgeHealth;

use super::builtin_responses::Page;
use crate::status::{Applied, Status};

/// 200 when it can serve, however old what it serves is; 503 otherwise.
pub(super) fn page(status: &Status) -> Page {
    let applied = status.applied.borrow();
    let health = EdgeHealth {
        edge: status.edge.clone(),
        generation: applied.position.map(|position| position.generation),
        applied: applied.position.map(|position| position.seq),
        served: served(&applied),
        pending: applied.lagging.len(),
        origin_last_seen_seconds: status.last_seen.elapsed().map(|ago| ago.as_secs()),
        draining: status.draining.is_cancelled(),
    };
    let code = if applied.can_serve() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Page::json(code, serde_json::to_string(&health).expect("plain data serializes"))
}

/// The last row before the oldest that lags.
fn served(applied: &Applied) -> Option<Seq> {
    let oldest = applied.lagging.iter().map(|lag| Seq(lag.seq.0.saturating_sub(1))).min();
    applied.position.map(|position| oldest.map_or(position.seq, |oldest| oldest.min(position.seq)))
}
