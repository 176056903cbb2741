//! Uploads the blobs of a build that the origin lacks.
//!
//! Works in rounds: ask which blobs are missing, then send them in packs over several streams. The origin stores each blob as it
//! arrives, so an error costs only what was in flight. An upload fails after several rounds in a row without progress.

mod packing;
mod retry;
mod sources;

use std::collections::BTreeMap;
use std::future::ready;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, pin_mut};
use verge_protocol::api::BuildCreated;
use verge_protocol::{Build, BuildId, ChannelName, Digest, SiteName, SitePath, compression};

pub use self::retry::RetryPolicy;
pub use self::sources::{SourceError, Sources};
use crate::client::{Client, ClientError};
use crate::output::{Output, Step, Unit, human};

/// How many packs are sent at once.
const STREAMS: usize = 4;

/// Why an upload failed.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// A file has changed or cannot be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// A request failed.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The origin accepted a pack without storing all of its blobs.
    #[error("the origin stored {0} blobs fewer than were sent")]
    NotStored(usize),
}

impl UploadError {
    /// Whether another round may succeed.
    fn is_transient(&self) -> bool {
        match self {
            Self::Client(error) => {
                error.is_transient() || matches!(error.code(), Some("unknown_build" | "truncated_body"))
            }
            Self::NotStored(_) => true,
            Self::Source(_) => false,
        }
    }
}

/// The upload of one build: registers it with the origin, as often as needed, and sends the blobs that are missing.
pub struct UploadSession<'a> {
    client: &'a Client,
    site: &'a SiteName,
    channel: &'a ChannelName,
    /// The build as it is sent.
    packed: Bytes,
    sources: Arc<Sources>,
    retry: RetryPolicy,
    /// Bytes sent so far, compressed. Blobs that were sent twice count twice.
    sent: Arc<AtomicU64>,
}

impl<'a> UploadSession<'a> {
    /// A session for `build`, whose files on disk are `paths`. Nothing is sent yet.
    pub fn new(
        client: &'a Client,
        site: &'a SiteName,
        channel: &'a ChannelName,
        build: &Build,
        paths: BTreeMap<SitePath, PathBuf>,
        retry: RetryPolicy,
    ) -> Self {
        let json = serde_json::to_vec(build).expect("paths are text and nothing else can fail");
        let (packed, sources) = (compression::compress(&json).into(), Arc::new(Sources::new(build, paths)));
        Self { client, site, channel, packed, sources, retry, sent: Arc::default() }
    }

    /// Creates the site if it does not exist.
    ///
    /// This comes before the build, which may be large: an origin that does not know the site answers before it has read the
    /// request's body, and then closes the connection. It also establishes that the origin and the token are valid. An origin that
    /// cannot be reached is not retried: more likely its URL is wrong.
    pub async fn create_site(&self, output: &Output) -> Result<(), ClientError> {
        if self.retry.run_first(output, async || self.client.create_site(self.site).await).await? {
            output.success(format_args!("created site {}", self.site));
        }
        Ok(())
    }

    /// Registers the build. Returns what the origin has of it.
    pub async fn register(&self, output: &Output) -> Result<BuildCreated, ClientError> {
        self.retry.run(output, ClientError::is_transient, async || self.try_register().await).await
    }

    async fn try_register(&self) -> Result<BuildCreated, ClientError> {
        self.client.create_build(self.site, self.channel, self.packed.clone()).await
    }

    /// Bytes sent so far, compressed.
    pub fn sent_bytes(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// The size of the blobs that the origin already had; each blob counts once.
    pub fn saved_bytes(&self, created: &BuildCreated) -> u64 {
        self.sources.total_bytes().saturating_sub(self.sources.bytes(&created.missing))
    }

    /// Sends the blobs that `created` lists as missing, and shows the progress. Returns the id of the build, which is a new one if
    /// the origin has lost the first.
    pub async fn send_missing(&self, created: &BuildCreated, output: &Output) -> Result<BuildId, UploadError> {
        if created.missing.is_empty() {
            output.success("nothing to upload: the origin already has all files");
            return Ok(created.build.clone());
        }
        let bytes = self.sources.bytes(&created.missing);
        let step = output.step("uploading", Unit::Bytes, bytes);
        let build = self.run_rounds(created, &step).await?;
        let sent = human::bytes(self.sent_bytes());
        step.finish(format_args!("uploaded {} ({sent} sent)", human::bytes(bytes)));
        Ok(build)
    }

    async fn run_rounds(&self, created: &BuildCreated, step: &Step) -> Result<BuildId, UploadError> {
        let mut build = created.build.clone();
        let mut missing = self.sources.sorted(&created.missing)?;
        let total = self.sources.bytes(&missing);
        let mut rounds_without_progress = 0;
        while !missing.is_empty() {
            let error = match self.run_round(&build, &missing, created.limits.pack_bytes, step).await {
                Ok(()) => return Ok(build),
                Err(error) if error.is_transient() => error,
                Err(error) => return Err(error),
            };
            let before = missing.len();
            match self.try_register().await {
                Ok(created) => {
                    build = created.build;
                    missing = self.sources.sorted(&created.missing)?;
                }
                Err(error) if error.is_transient() => {}
                Err(error) => return Err(error.into()),
            }
            step.set_done(total.saturating_sub(self.sources.bytes(&missing)));
            if missing.len() < before {
                rounds_without_progress = 0;
            } else {
                rounds_without_progress += 1;
                if rounds_without_progress == self.retry.max_attempts {
                    return Err(error);
                }
                self.retry.pause(rounds_without_progress).await;
            }
        }
        Ok(build)
    }

    /// Sends each blob once. A pack that fails does not end the round, since others may succeed; several in a row do.
    async fn run_round(&self, build: &BuildId, missing: &[Digest], limit: u64, step: &Step) -> Result<(), UploadError> {
        let packs = packing::plan(missing, |digest| self.sources.size(digest), STREAMS, limit);
        let failed_in_a_row = AtomicUsize::new(0);
        let results = futures_util::stream::iter(packs)
            .take_while(|_| ready(failed_in_a_row.load(Ordering::Relaxed) < STREAMS))
            .map(|pack| self.send_pack(build, pack, step))
            .buffer_unordered(STREAMS);
        pin_mut!(results);
        let mut last_error = None;
        while let Some(result) = results.next().await {
            match result {
                Ok(()) => failed_in_a_row.store(0, Ordering::Relaxed),
                Err(error) if error.is_transient() => {
                    failed_in_a_row.fetch_add(1, Ordering::Relaxed);
                    last_error = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        last_error.map_or(Ok(()), Err)
    }

    async fn send_pack(&self, build: &BuildId, pack: Vec<Digest>, step: &Step) -> Result<(), UploadError> {
        let count = pack.len();
        let (frames, stream_error) = packing::frames(self.sources.clone(), pack, {
            let (sent, step) = (self.sent.clone(), step.clone());
            move |blob_size, frame_size| {
                sent.fetch_add(frame_size, Ordering::Relaxed);
                step.advance(blob_size);
            }
        });
        let response = self.client.send_pack(self.site, build, frames).await;
        // A file that has changed aborts the request: report the file, not the lost connection.
        if let Some(error) = stream_error.take() {
            return Err(error.into());
        }
        let stored = usize::try_from(response?.stored).unwrap_or(usize::MAX);
        if stored < count { Err(UploadError::NotStored(count - stored)) } else { Ok(()) }
    }
}
