//! The health page of an edge, on any host: for monitors, name servers, and `verge push`.

use http::StatusCode;
use verge_protocol::Seq;
use verge_protocol::health::EdgeHealth;

use super::builtin_responses::BuiltinResponse;
use crate::status::{AppliedState, Availability, ServingStatus};

/// 200 if readers may be sent to the edge, however old its releases are; 503 otherwise.
pub(super) fn response(status: &ServingStatus) -> BuiltinResponse {
    let availability = status.availability();
    let health = serde_json::to_string(&health(status, availability)).expect("plain data serializes");
    let code = if availability == Availability::Available { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    BuiltinResponse::json(code, health)
}

fn health(status: &ServingStatus, availability: Availability) -> EdgeHealth {
    let applied = status.applied.borrow();
    EdgeHealth {
        edge: status.edge.clone(),
        generation: applied.position.map(|position| position.generation),
        applied: applied.position.map(|position| position.seq),
        served: served(&applied, status, first(applied.lagging.iter().map(|lag| lag.seq), status.tls.first_unserved())),
        served_of_obtainable: served(&applied, status, first(applied.first_obtainable, status.tls.first_obtainable())),
        pending: applied.lagging.len(),
        missing_blobs: status.missing_blobs.get(),
        saving: applied.not_saving.is_none(),
        origin_last_seen_seconds: status.last_seen.elapsed().map(|ago| ago.as_secs()),
        catching_up: availability == Availability::CatchingUp,
        draining: status.draining.is_cancelled(),
    }
}

/// The first row of channels or certificates that is not served.
fn first(channels: impl IntoIterator<Item = Seq>, certificate: Option<Seq>) -> Option<Seq> {
    channels.into_iter().chain(certificate).min()
}

/// The last row before `first`.
fn served(applied: &AppliedState, status: &ServingStatus, first: Option<Seq>) -> Option<Seq> {
    let position = applied.position?;
    if cannot_serve_all(status) {
        return Some(Seq::default());
    }
    Some(first.map_or(position.seq, |seq| Seq(seq.0.saturating_sub(1)).min(position.seq)))
}

/// Whether readers get 503 for files of live releases: some are not on disk, and no origin answers. Name servers count the edge as behind
/// then, since others can serve them.
fn cannot_serve_all(status: &ServingStatus) -> bool {
    status.missing_blobs.get() > 0 && status.is_origin_silent()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use verge_protocol::report::Lag;

    use super::*;
    use crate::test_support::serving_status;

    #[tokio::test]
    async fn row_that_the_origin_lacks_files_of_does_not_hide_a_later_one_that_lags() {
        let (site, channel, reason) = ("demo".parse().unwrap(), "live".parse().unwrap(), String::new());
        let applied = AppliedState {
            position: Some("1-6000".parse().unwrap()),
            lagging: vec![Lag { site, channel, seq: Seq(100), reason }],
            ..AppliedState::default()
        };
        let applied = watch::Sender::new(applied);
        let status = serving_status(&applied);
        let positions = || {
            let health = health(&status, Availability::Available);
            (health.served, health.served_of_obtainable)
        };
        assert_eq!(positions(), (Some(Seq(99)), Some(Seq(6000))));
        applied.send_modify(|applied| applied.first_obtainable = Some(Seq(5000)));
        assert_eq!(positions(), (Some(Seq(99)), Some(Seq(4999))));
    }

    #[tokio::test(start_paused = true)]
    async fn edge_that_lacks_files_counts_as_behind_while_no_origin_answers() {
        let applied = AppliedState { position: Some("1-7".parse().unwrap()), ..AppliedState::default() };
        let status = serving_status(&watch::Sender::new(applied));
        status.missing_blobs.set(1);
        assert!(!cannot_serve_all(&status), "they are fetched from the origin");
        tokio::time::advance(Duration::from_secs(61)).await;
        assert!(cannot_serve_all(&status));
        status.last_seen.record();
        assert!(!cannot_serve_all(&status));
    }
}
