//! Builds: taking their descriptions and their blobs.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use futures_util::StreamExt as _;
use serde::Deserialize;
use verge_protocol::api::{BlobsStored, BuildCreated, ChannelHead, Limits};
use verge_protocol::compression::{self, DecompressError};
use verge_protocol::host::HostLabel;
use verge_protocol::pack::{Decoder, Frame};
use verge_protocol::{Build, BuildId, ChannelName, Content, Digest, Fallback, SiteName};

use super::auth::Admin;
use super::extract::{QueryParams, PathParams, whole};
use super::error::ApiError;
use super::sites;
use crate::app::App;
use crate::publish;
use crate::uploads::Wanted;

/// A build's description, compressed and not. Enough for 100,000 files with room for huge ones' blobs.
const COMPRESSED_MAX: usize = 64 << 20;
const PLAIN_MAX: usize = 192 << 20;

/// A client that sends nothing for this long has gone.
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[derive(Deserialize)]
pub(super) struct Question {
    #[serde(default = "ChannelName::live")]
    channel: ChannelName,
}

/// `POST /v1/sites/{site}/builds?channel=live`: the same build gets the same id, and each time only what is still missing.
pub(super) async fn create(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams(site): PathParams<SiteName>,
    QueryParams(Question { channel }): QueryParams<Question>,
    mut request: Request,
) -> Result<Json<BuildCreated>, ApiError> {
    sites::known(&app, &site).await?;
    DefaultBodyLimit::max(COMPRESSED_MAX).apply(&mut request);
    let body = whole(request, &app).await?;
    let plain = unpack(&body)?;
    let build = parse(&plain)?;
    check(&build, &app.limits)?;

    let id = build_id(&plain);
    app.blobs.put_build(&site, &id, body).await?;
    app.database.touch_build(&site, &id, app.clock.now()).await?;
    app.uploads.settled(&site, &id).await;
    let label = HostLabel { site, channel };
    let missing = publish::missing(&app, &label.site, &build).await?;
    let state = app.database.channel(&label.site, &label.channel).await?;
    let changes = publish::changes(&app, &build, state.as_ref().map(|state| state.manifest)).await?;
    let current = match state {
        None => None,
        Some(state) => {
            let release = app.database.release(&label.site, state.release).await?;
            let files = release.map_or(0, |release| release.files);
            Some(ChannelHead { release: state.release, epoch: state.epoch, files })
        }
    };
    Ok(Json(BuildCreated { build: id, limits: app.limits, missing, current, changes }))
}

/// `POST /v1/sites/{site}/builds/{build}/blobs`: takes a pack, of blobs that the build names. What came whole is kept, even when
/// the rest does not.
pub(super) async fn keep(
    _: Admin,
    State(app): State<Arc<App>>,
    PathParams((site, id)): PathParams<(SiteName, BuildId)>,
    request: Request,
) -> Result<Json<BlobsStored>, ApiError> {
    let wanted = match app.uploads.wanted(&site, &id) {
        Some(wanted) => wanted,
        None => Arc::new(wanted(&load(&app, &site, &id).await?)),
    };
    app.database.touch_build(&site, &id, app.clock.now()).await?;
    // A task of its own: this handler is dropped when its connection is cut, and what had come by then must be kept.
    let pack = app.uploads.start(&site, &id, wanted);
    let tasks = app.tasks.clone();
    let keeping = tasks.spawn("keep a pack", async move {
        let mut kept: Vec<(Digest, u64)> = Vec::new();
        let outcome = receive(&app, pack.wanted(), request, &mut kept).await;
        if !kept.is_empty() {
            app.blobs.sync().await?;
            app.database.add_blobs(&site, &kept).await?;
            app.metrics.blobs_kept.inc_by(kept.len() as u64);
        }
        drop(pack);
        outcome.map(|()| Json(BlobsStored { stored: kept.len() as u64 }))
    });
    match keeping.await {
        Ok(Some(outcome)) => outcome,
        Ok(None) | Err(_) => Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the origin is stopping")
            .hint("go on when it is back: ask what is missing")),
    }
}

/// The build, or the error that says that there is none.
pub(super) async fn load(app: &App, site: &SiteName, id: &BuildId) -> Result<Build, ApiError> {
    sites::known(app, site).await?;
    let unknown =
        || ApiError::not_found("unknown_build", format!("site `{site}` has no build {id}")).hint("create it again");
    if !app.database.has_build(site, id).await? {
        return Err(unknown());
    }
    let body = app.blobs.get_build(site, id).await?.ok_or_else(unknown)?;
    // A large build takes a moment.
    let parsed = tokio::task::spawn_blocking(move || parse(&unpack(&body)?)).await;
    parsed.unwrap_or_else(|_| Err(unknown()))
}

fn wanted(build: &Build) -> Wanted {
    build.files.values().flat_map(Content::pieces).map(|piece| (piece.digest, piece.size)).collect()
}

fn unpack(body: &[u8]) -> Result<Vec<u8>, ApiError> {
    compression::decompress(body, PLAIN_MAX).map_err(|error| {
        let status = match error {
            DecompressError::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            DecompressError::Malformed(_) => StatusCode::BAD_REQUEST,
        };
        ApiError::new(status, "bad_build", format!("the build {error}"))
    })
}

fn parse(plain: &[u8]) -> Result<Build, ApiError> {
    serde_json::from_slice(plain)
        .map_err(|error| ApiError::bad_request("bad_build", format!("the build cannot be read: {error}")))
}

fn check(build: &Build, limits: &Limits) -> Result<(), ApiError> {
    if build.files.is_empty() {
        return Err(ApiError::unprocessable("empty_build", "the build has no files")
            .hint("is it the folder that your build tool writes to?"));
    }
    let files = build.files.len() as u64;
    if files > limits.files {
        return Err(over(format!("the build has {files} files: the limit is {}", limits.files)));
    }
    if let Some((path, content)) = build.files.iter().find(|(_, content)| content.size() > limits.file_bytes) {
        let (size, most) = (content.size(), limits.file_bytes);
        return Err(over(format!("{path} has {size} bytes: the limit is {most} for one file")));
    }
    // No sum of so many sizes of at most so much overflows.
    let bytes = build.bytes();
    if bytes > limits.build_bytes {
        return Err(over(format!("the build has {bytes} bytes: the limit is {}", limits.build_bytes)));
    }
    match &build.fallback {
        Fallback::SinglePage { path } if !build.files.contains_key(path) => {
            Err(ApiError::unprocessable("bad_build", format!("the fallback page {path} is not in the build")))
        }
        _ => Ok(()),
    }
}

fn over(message: String) -> ApiError {
    ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, "over_limit", message)
}

/// The same description has the same id.
fn build_id(plain: &[u8]) -> BuildId {
    let mut text = Digest::of(plain).to_string();
    text.truncate(32);
    text.parse().expect("hex digits make a name")
}

async fn receive(app: &App, wanted: &Wanted, request: Request, kept: &mut Vec<(Digest, u64)>) -> Result<(), ApiError> {
    let mut stream = request.into_body().into_data_stream();
    let mut decoder = Decoder::default();
    let mut received = 0;
    loop {
        let piece = tokio::time::timeout(SILENCE_MAX, stream.next())
            .await
            .map_err(|_| ApiError::new(StatusCode::REQUEST_TIMEOUT, "silence", "nothing came for 30 seconds"))?;
        let Some(piece) = piece else { break };
        let piece = piece.map_err(|_| ApiError::bad_request("cut_short", "the pack was cut short"))?;
        received += piece.len() as u64;
        if received > app.limits.pack_bytes {
            return Err(over(format!("the pack has more than {} bytes", app.limits.pack_bytes)));
        }
        decoder.push(&piece);
        while let Some(frame) = decoder.next_frame().map_err(|error| bad_pack(&error))? {
            take(app, wanted, frame, kept).await?;
        }
    }
    decoder.finish().map_err(|error| bad_pack(&error))
}

fn bad_pack(error: &dyn std::error::Error) -> ApiError {
    ApiError::bad_request("bad_pack", error.to_string())
        .hint("what came before it is kept: ask what is missing, and go on")
}

async fn take(app: &App, wanted: &Wanted, frame: Frame, kept: &mut Vec<(Digest, u64)>) -> Result<(), ApiError> {
    let Frame::Blob(blob) = frame else {
        return Err(ApiError::bad_request("bad_pack", "the pack says that a blob is missing: nobody asked"));
    };
    let digest = blob.digest();
    if wanted.get(&digest) != Some(&(blob.bytes().len() as u64)) {
        return Err(ApiError::bad_request("unwanted_blob", format!("the build names no blob {digest} of this size")));
    }
    app.blobs.put(&blob).await?;
    app.metrics.blob_bytes_kept.inc_by(blob.bytes().len() as u64);
    kept.push((digest, blob.bytes().len() as u64));
    Ok(())
}
