//! Builds: receiving their descriptions and their blobs.

mod description;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use serde::Deserialize;
use verge_protocol::api::{BlobsStored, BuildCreated, ChannelHead};
use verge_protocol::pack::{Decoder, Frame};
use verge_protocol::{Build, BuildId, ChannelName, Digest, SiteName};

use self::description::{Description, expected_blobs, limit_exceeded};
use super::auth::Admin;
use super::body::{BodyReader, read_body};
use super::error::ApiError;
use super::extract::{PathParams, QueryParams};
use super::sites;
use crate::publish::{self, Contents};
use crate::uploads::{DESCRIPTION_COMPRESSED_MAX, ExpectedBlobs, StartedPack, Uploads};

#[derive(Deserialize)]
pub(super) struct Params {
    #[serde(default = "ChannelName::live")]
    channel: ChannelName,
}

/// `POST /v1/sites/{site}/builds?channel=live`: stores the description of a build and returns which blobs are missing. The same
/// description gets the same id.
pub(super) async fn create(
    _: Admin,
    State(uploads): State<Uploads>,
    State(contents): State<Contents>,
    PathParams(site): PathParams<SiteName>,
    QueryParams(Params { channel }): QueryParams<Params>,
    request: Request,
) -> Result<Json<BuildCreated>, ApiError> {
    let database = &uploads.database;
    sites::find(database, &site).await?;
    let body = read_body(request, DESCRIPTION_COMPRESSED_MAX).await?;
    // Only now: nobody waits for another client's line.
    let slot = uploads.description_slots.compressed(body.len()).await;
    let unpacked = uploads.description_slots.unpacked().await;
    let Description { id, build } = description::read(unpacked, body.clone(), uploads.limits).await?;
    description::check(&build, &uploads.limits)?;

    contents.check_erased(&site, &build).await?;
    {
        // A collection sees the build, or else the build sees what was collected.
        let _removals = uploads.blobs.prevent_removals().await;
        uploads.blobs.put_build(&site, &id, body).await?;
        drop(slot);
        database.touch_build(&site, &id, uploads.clock.now()).await?;
    }
    uploads.active_packs.wait(&site, &id).await;
    let missing = contents.missing(&site, &build).await?;
    let state = database.channel(&site, &channel).await?;
    let (changes, unchanged) =
        publish::difference(&contents, &build, state.as_ref().map(|state| state.manifest)).await?;
    let current = match state {
        None => None,
        Some(state) => {
            let release = database.release(&site, state.release).await?;
            let files = release.map_or(0, |release| release.files);
            Some(ChannelHead { release: state.release, epoch: state.epoch, files })
        }
    };
    Ok(Json(BuildCreated { build: id, limits: uploads.limits, missing, current, changes, unchanged: Some(unchanged) }))
}

/// `POST /v1/sites/{site}/builds/{build}/blobs`: stores a pack of blobs that the build names. Blobs received completely are stored
/// even if the rest of the pack is not.
pub(super) async fn upload_blobs(
    _: Admin,
    State(uploads): State<Uploads>,
    State(contents): State<Contents>,
    PathParams((site, id)): PathParams<(SiteName, BuildId)>,
    request: Request,
) -> Result<Json<BlobsStored>, ApiError> {
    let mut build = None;
    let expected = match uploads.active_packs.expected(&site, &id) {
        Some(expected) => expected,
        None => Arc::new(expected_blobs(build.insert(load(&uploads, &site, &id).await?))),
    };
    uploads.database.touch_build(&site, &id, uploads.clock.now()).await?;
    let removals = uploads.blobs.prevent_removals().await;
    let pack = uploads.active_packs.start(&site, &id, expected);
    drop(removals);
    let pack = match pack {
        StartedPack::Checked(pack) => pack,
        // After the pack has started: what is erased from now on is removed when it ends.
        StartedPack::Unchecked(pack) => {
            let build = match build {
                Some(build) => build,
                // The pack that was being received has ended meanwhile.
                None => load(&uploads, &site, &id).await?,
            };
            contents.check_erased(&site, &build).await?;
            pack.set_checked()
        }
    };
    // In a task: this handler is dropped when its connection is cut, and the blobs received by then must be stored.
    let tasks = uploads.tasks.clone();
    let storing = tasks.spawn("store a pack", async move {
        let mut stored: Vec<(Digest, u64)> = Vec::new();
        let outcome = receive(&uploads, pack.expected(), request, &mut stored).await;
        if !stored.is_empty() {
            uploads.blobs.sync().await?;
            uploads.database.add_blobs(&site, &stored).await?;
            uploads.metrics.blobs_stored.inc_by(stored.len() as u64);
        }
        drop(pack);
        outcome.map(|()| Json(BlobsStored { stored: stored.len() as u64 }))
    });
    match storing.await {
        Ok(Some(outcome)) => outcome,
        Ok(None) | Err(_) => {
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "the origin is shutting down")
                .hint("when it is back, create the build again: the answer names the missing blobs"))
        }
    }
}

/// Loads a build, which is not collected for a day from now on, or fails with `unknown_site` or `unknown_build`.
pub(super) async fn load_to_release(uploads: &Uploads, site: &SiteName, id: &BuildId) -> Result<Build, ApiError> {
    {
        let _removals = uploads.blobs.prevent_removals().await;
        uploads.database.touch_existing_build(site, id, uploads.clock.now()).await?;
    }
    load(uploads, site, id).await
}

/// Loads a build, or fails with `unknown_site` or `unknown_build`.
pub(super) async fn load(uploads: &Uploads, site: &SiteName, id: &BuildId) -> Result<Build, ApiError> {
    sites::find(&uploads.database, site).await?;
    let unknown = || {
        ApiError::not_found("unknown_build", format!("site `{site}` has no build {id}")).hint("create the build again")
    };
    if !uploads.database.has_build(site, id).await? {
        return Err(unknown());
    }
    let unpacked = uploads.description_slots.unpacked().await;
    let body = uploads.blobs.get_build(site, id).await?.ok_or_else(unknown)?;
    Ok(description::read(unpacked, body, uploads.limits).await?.build)
}

/// Stores each blob of a pack as it arrives, and adds it to `stored`.
async fn receive(
    uploads: &Uploads,
    expected: &ExpectedBlobs,
    request: Request,
    stored: &mut Vec<(Digest, u64)>,
) -> Result<(), ApiError> {
    let mut body = BodyReader::new(request.into_body());
    let mut decoder = Decoder::default();
    let mut received = 0;
    loop {
        let Some(chunk) = body.next().await? else { break };
        received += chunk.len() as u64;
        if received > uploads.limits.pack_bytes {
            return Err(limit_exceeded(format!("the pack has more than {} bytes", uploads.limits.pack_bytes)));
        }
        decoder.push(&chunk);
        while let Some(frame) = decoder.next_frame().map_err(|error| invalid_pack(&error))? {
            stored.push(store(uploads, expected, frame).await?);
        }
    }
    decoder.finish().map_err(|error| invalid_pack(&error))
}

fn invalid_pack(error: &dyn std::error::Error) -> ApiError {
    ApiError::bad_request("invalid_pack", error.to_string())
        .hint("the blobs before the error are stored: create the build again, and send those still missing")
}

async fn store(uploads: &Uploads, expected: &ExpectedBlobs, frame: Frame) -> Result<(Digest, u64), ApiError> {
    let Frame::Blob(blob) = frame else {
        let message = "the pack has a frame for a missing blob, which only an answer may have";
        return Err(ApiError::bad_request("invalid_pack", message));
    };
    let (digest, size) = (blob.digest(), blob.bytes().len() as u64);
    if expected.get(&digest) != Some(&size) {
        let message = format!("the build names no blob {digest} of {size} bytes");
        return Err(ApiError::bad_request("unexpected_blob", message));
    }
    uploads.blobs.put(&blob).await?;
    uploads.metrics.blob_bytes_stored.inc_by(size);
    Ok((digest, size))
}
