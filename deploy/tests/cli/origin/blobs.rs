//! Uploads of blobs: each blob is stored as it arrives.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use verge_protocol::SiteName;
use verge_protocol::api::BlobsStored;
use verge_protocol::pack::{self, Decoder, Frame};

use super::state::{Shared, abort, refuse};

pub(super) async fn receive(
    State(shared): State<Shared>,
    Path((site, build)): Path<(SiteName, String)>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    assert_eq!(headers["content-type"], pack::MEDIA_TYPE);
    let cut_after = {
        let mut memory = shared.lock().unwrap();
        if !memory.builds.contains_key(&build) {
            return refuse(StatusCode::NOT_FOUND, "unknown_build", "there is no such build");
        }
        memory.faults.uploads += 1;
        memory.faults.cut_after.filter(|_| memory.faults.uploads % 2 == 1)
    };
    let mut decoder = Decoder::default();
    let mut stored = 0;
    let mut pieces = body.into_data_stream();
    while let Some(piece) = pieces.next().await {
        let Ok(piece) = piece else { return abort() };
        decoder.push(&piece);
        while let Some(frame) = decoder.next_frame().unwrap() {
            let Frame::Blob(blob) = frame else { panic!("unexpected frame {frame:?}") };
            stored += 1;
            let mut memory = shared.lock().unwrap();
            memory.received.push(blob.digest());
            if !memory.faults.forgetful {
                memory.sites.get_mut(&site).unwrap().blobs.insert(blob.digest());
            }
            if cut_after == Some(stored) {
                return abort();
            }
        }
    }
    match decoder.finish() {
        Ok(()) if shared.lock().unwrap().faults.forgetful => Json(BlobsStored { stored: 0 }).into_response(),
        Ok(()) => Json(BlobsStored { stored: stored as u64 }).into_response(),
        Err(error) => refuse(StatusCode::BAD_REQUEST, "invalid_pack", &error.to_string()),
    }
}
