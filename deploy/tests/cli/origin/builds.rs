//! Sites and builds.

use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use verge_protocol::api::{BuildCreated, Limits};
use verge_protocol::{Build, ChannelName, Digest, SiteName, compression};

use super::state::{Shared, abort, refuse};

const LIMITS: Limits = Limits { files: 100_000, file_bytes: 1 << 30, build_bytes: 1 << 34, pack_bytes: 16 << 20 };

#[derive(Deserialize)]
pub(super) struct Channel {
    channel: ChannelName,
}

pub(super) async fn create_site(State(shared): State<Shared>, Path(site): Path<SiteName>) -> StatusCode {
    let mut memory = shared.lock().unwrap();
    let is_new = !memory.sites.contains_key(&site);
    memory.sites.entry(site).or_default();
    if is_new { StatusCode::CREATED } else { StatusCode::OK }
}

/// The real origin rejects a build for an unknown site before it reads the body, and then closes the connection. If the body is large,
/// the client may lose the response; here it always does.
pub(super) async fn create(
    State(shared): State<Shared>,
    Path(site): Path<SiteName>,
    Query(Channel { channel }): Query<Channel>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    assert_eq!(headers["content-type"], compression::MEDIA_TYPE);
    if !shared.lock().unwrap().sites.contains_key(&site) {
        return abort();
    }
    let Ok(body) = to_bytes(body, 1 << 26).await else {
        return refuse(StatusCode::BAD_REQUEST, "truncated_body", "the request ended early");
    };
    let json = compression::decompress(&body, 1 << 26).unwrap();
    let build: Build = serde_json::from_slice(&json).unwrap();
    let id = Digest::of(&json).prefix();
    let mut memory = shared.lock().unwrap();
    memory.builds.insert(id.clone(), build.clone());
    let limits = memory.faults.limits.unwrap_or(LIMITS);
    let known = &memory.sites[&site];
    let answer = BuildCreated {
        build: id.parse().unwrap(),
        limits,
        missing: known.missing(&build),
        current: known.current(&channel),
        changes: known.changes(&build, &channel),
        unchanged: (!memory.faults.is_old).then(|| known.serves(&build, &channel)),
    };
    Json(answer).into_response()
}
