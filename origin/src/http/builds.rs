//! Builds: receiving their descriptions and their blobs.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use serde::Deserialize;
use verge_protocol::api::{BlobsStored, BuildCreated, ChannelHead, Limits};
use verge_protocol::compression::{self, DecompressError};
use verge_protocol::pack::{Decoder, Frame};
use verge_protocol::{Build, BuildId, ChannelName, Content, Digest, Fallback, SiteName};

use super::auth::Admin;
use super::error::ApiError;
use super::extract::{PathParams, QueryParams, read_body};
use super::sites;
use crate::publish::{self, Contents};
use crate::uploads::{ExpectedBlobs, StartedPack, Uploads};

/// The largest description of a build, compressed and not: 100,000 files, some of them of many blobs.
const COMPRESSED_MAX: usize = 64 << 20;
const DESCRIPTION_MAX: usize = 192 << 20;

/// How long a client may send nothing before its upload is given up.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

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
    mut request: Request,
) -> Result<Json<BuildCreated>, ApiError> {
    let database = &uploads.database;
    sites::find(database, &site).await?;
    DefaultBodyLimit::max(COMPRESSED_MAX).apply(&mut request);
    let body = read_body(request, &()).await?;
    let description = decompress(&body)?;
    let build = parse(&description)?;
    check(&build, &uploads.limits)?;

    contents.check_erased(&site, &build).await?;
    let id = build_id(&description);
    uploads.blobs.put_build(&site, &id, body).await?;
    database.touch_build(&site, &id, uploads.clock.now()).await?;
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

/// Loads a build, or fails with `unknown_site` or `unknown_build`.
pub(super) async fn load(uploads: &Uploads, site: &SiteName, id: &BuildId) -> Result<Build, ApiError> {
    sites::find(&uploads.database, site).await?;
    let unknown = || {
        ApiError::not_found("unknown_build", format!("site `{site}` has no build {id}")).hint("create the build again")
    };
    if !uploads.database.has_build(site, id).await? {
        return Err(unknown());
    }
    let body = uploads.blobs.get_build(site, id).await?.ok_or_else(unknown)?;
    // A large description takes a while to parse.
    let parsed = tokio::task::spawn_blocking(move || parse(&decompress(&body)?)).await;
    parsed.unwrap_or_else(|_| Err(unknown()))
}

fn expected_blobs(build: &Build) -> ExpectedBlobs {
    build.files.values().flat_map(Content::slices).map(|slice| (slice.digest, slice.size)).collect()
}

fn decompress(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    compression::decompress(body, DESCRIPTION_MAX).map_err(|error| {
        let status = match error {
            DecompressError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            DecompressError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, "invalid_build", format!("invalid build: {error}"))
    })
}

/// Parses the description of a build, also of one that was stored before there were limits of rules: what is beyond them is not read.
fn parse(description: &[u8]) -> Result<Build, ApiError> {
    let build: Build = serde_json::from_slice(description)
        .map_err(|error| ApiError::bad_request("invalid_build", format!("invalid build: {error}")))?;
    match build.rules.check() {
        Ok(()) => Ok(build),
        Err(error) => Err(limit_exceeded(error.to_string()).hint("combine or remove rules, and push again")),
    }
}

fn check(build: &Build, limits: &Limits) -> Result<(), ApiError> {
    if build.files.is_empty() {
        return Err(ApiError::unprocessable("empty_build", "the build has no files")
            .hint("send the directory that the build tool writes to"));
    }
    let files = build.files.len() as u64;
    if files > limits.files {
        return Err(limit_exceeded(format!("the build has {files} files: the limit is {}", limits.files)));
    }
    if let Some((path, content)) = build.files.iter().find(|(_, content)| content.size() > limits.file_bytes) {
        let (size, max) = (content.size(), limits.file_bytes);
        return Err(limit_exceeded(format!("{path} has {size} bytes: the limit for a file is {max}")));
    }
    // The sum of so many sizes below that limit cannot overflow.
    let bytes = build.bytes();
    if bytes > limits.build_bytes {
        return Err(limit_exceeded(format!("the build has {bytes} bytes: the limit is {}", limits.build_bytes)));
    }
    match &build.fallback {
        Fallback::SinglePage { path } if !build.files.contains_key(path) => {
            Err(ApiError::unprocessable("invalid_build", format!("the build has no file {path}, its fallback page")))
        }
        _ => Ok(()),
    }
}

fn limit_exceeded(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "limit_exceeded", message)
}

fn build_id(description: &[u8]) -> BuildId {
    let mut text = Digest::of(description).to_string();
    text.truncate(32);
    text.parse().expect("hex digits are a build id")
}

/// Stores each blob of a pack as it arrives, and adds it to `stored`.
async fn receive(
    uploads: &Uploads,
    expected: &ExpectedBlobs,
    request: Request,
    stored: &mut Vec<(Digest, u64)>,
) -> Result<(), ApiError> {
    let mut stream = request.into_body().into_data_stream();
    let mut decoder = Decoder::default();
    let mut received = 0;
    loop {
        let chunk = tokio::time::timeout(IDLE_TIMEOUT, stream.next()).await.map_err(|_| {
            ApiError::new(StatusCode::REQUEST_TIMEOUT, "request_timeout", "no data was received for 30 seconds")
        })?;
        let Some(chunk) = chunk else { break };
        let chunk = chunk.map_err(|_| ApiError::bad_request("truncated_body", "the connection was cut in a pack"))?;
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
