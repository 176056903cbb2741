//! What an edge says of itself to whoever asks, on any host: monitors, name servers, and `verge push --wait`.

use http::StatusCode;
use verge_protocol::health::Health;

use super::pages::Page;
use crate::status::Status;

/// 200 when it can serve, however old what it serves is; 503 otherwise.
pub(super) fn page(status: &Status) -> Page {
    let applied = status.applied.borrow();
    let health = Health {
        edge: status.edge.clone(),
        generation: applied.position.map(|position| position.generation),
        applied: applied.position.map(|position| position.seq),
        pending: applied.lagging.len(),
        heard_seconds: status.heard.ago().map(|ago| ago.as_secs()),
        draining: status.draining.is_cancelled(),
    };
    let code = if applied.can_serve() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Page::json(code, serde_json::to_string(&health).expect("plain data serializes"))
}
