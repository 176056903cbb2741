//! What an edge says of itself to whoever asks, on any host: monitors, name servers, and `verge push --wait`.

use http::StatusCode;
use serde::Serialize;
use verge_protocol::{EdgeName, Generation, Seq};

use super::pages::Page;
use crate::status::Status;

/// Where it says so.
pub(super) const PATH: &str = "/.well-known/verge/health";

#[derive(Serialize)]
struct Health<'a> {
    edge: &'a EdgeName,
    /// Of the feed; `None` until the first snapshot.
    generation: Option<Generation>,
    /// The last row that is served, or counted in `pending`.
    applied: Option<Seq>,
    /// Channels that serve an older release than they should.
    pending: usize,
    /// Seconds since an origin was heard; `None` when none was since the start.
    heard_seconds: Option<u64>,
    draining: bool,
}

/// 200 when it can serve, however old what it serves is; 503 otherwise.
pub(super) fn page(status: &Status) -> Page {
    let applied = status.applied.borrow();
    let health = Health {
        edge: &status.edge,
        generation: applied.position.map(|position| position.generation),
        applied: applied.position.map(|position| position.seq),
        pending: applied.lagging.len(),
        heard_seconds: status.heard.ago().map(|ago| ago.as_secs()),
        draining: status.draining.is_cancelled(),
    };
    let code = if applied.can_serve() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Page::json(code, serde_json::to_string(&health).expect("plain data serializes"))
}
