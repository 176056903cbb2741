//! Brings an origin every blob of a build that it lacks.
//!
//! In rounds: learn what is missing, send that in packs over a few streams at once. What goes wrong on the way costs what was
//! in flight: the origin keeps each blob as it arrives, and the next round asks again. An upload is given up only when several
//! rounds in a row brought nothing at all.

mod packing;
mod patience;
mod sources;

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bytes::Bytes;
use futures_util::{StreamExt as _, pin_mut};
use verge_protocol::api::BuildCreated;
use verge_protocol::{BuildId, ChannelName, Digest, SiteName};

pub use self::patience::Patience;
pub use self::sources::{SourceError, Sources};
use crate::client::{Client, ClientError};
use crate::output::Step;

/// How many packs travel at once.
const STREAMS: usize = 4;

/// Why blobs did not arrive.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The files on disk are not what they were.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The origin could not be reached, or will not take them.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Packs arrive, and not all of them stays.
    #[error("the origin took blobs and kept all but {0} of them")]
    NotKept(usize),
}

impl UploadError {
    /// Whether asking again what is missing may help.
    fn is_passing(&self) -> bool {
        match self {
            Self::Client(error) => {
                error.is_passing() || matches!(error.code(), Some("unknown_build" | "truncated_body"))
            }
            Self::NotKept(_) => true,
            Self::Source(_) => false,
        }
    }
}

/// An upload: what is sent, and where.
pub struct Upload<'a> {
    /// Whom to send it to.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// The channel that the build is meant for.
    pub channel: &'a ChannelName,
    /// The build as it was named first: naming it again asks what is missing.
    pub build: Bytes,
    /// Where each blob lies on disk.
    pub sources: Arc<Sources>,
    /// When to give up.
    pub patience: Patience,
    /// Bytes that travelled, counted as they go: compressed, and twice where a connection was cut.
    pub sent: Arc<AtomicU64>,
}

impl Upload<'_> {
    /// Sends all that `answer` says is missing, and what is still missing after that, until nothing is. Returns the build's
    /// id, which is another one if the origin forgot the first.
    pub async fn run(&self, answer: &BuildCreated, step: &Step) -> Result<BuildId, UploadError> {
        let mut build = answer.build.clone();
        let mut missing = self.sources.in_order(&answer.missing)?;
        let all = self.sources.bytes(&missing);
        let mut barren = 0;
        while !missing.is_empty() {
            let error = match self.round(&build, &missing, answer.limits.pack_bytes, step).await {
                Ok(()) => return Ok(build),
                Err(error) if error.is_passing() => error,
                Err(error) => return Err(error),
            };
            let before = missing.len();
            match self.client.create_build(self.site, self.channel, self.build.clone()).await {
                Ok(answer) => {
                    build = answer.build;
                    missing = self.sources.in_order(&answer.missing)?;
                }
                Err(error) if error.is_passing() => {}
                Err(error) => return Err(error.into()),
            }
            step.set_done(all.saturating_sub(self.sources.bytes(&missing)));
            if missing.len() < before {
                barren = 0;
            } else {
                barren += 1;
                if barren == self.patience.rounds {
                    return Err(error);
                }
                self.patience.after(barren).await;
            }
        }
        Ok(build)
    }

    /// Sends each blob once. A failed pack does not end the round, for the others may do better; several in a row do.
    async fn round(&self, build: &BuildId, missing: &[Digest], limit: u64, step: &Step) -> Result<(), UploadError> {
        let packs = packing::plan(missing, |digest| self.sources.size(digest), STREAMS, limit);
        let failed_in_a_row = AtomicUsize::new(0);
        let results = futures_util::stream::iter(packs)
            .take_while(|_| ready(failed_in_a_row.load(Ordering::Relaxed) < STREAMS))
            .map(|pack| self.send(build, pack, step))
            .buffer_unordered(STREAMS);
        pin_mut!(results);
        let mut last_error = None;
        while let Some(result) = results.next().await {
            match result {
                Ok(()) => failed_in_a_row.store(0, Ordering::Relaxed),
                Err(error) if error.is_passing() => {
                    failed_in_a_row.fetch_add(1, Ordering::Relaxed);
                    last_error = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        last_error.map_or(Ok(()), Err)
    }

    async fn send(&self, build: &BuildId, pack: Vec<Digest>, step: &Step) -> Result<(), UploadError> {
        let count = pack.len();
        let (frames, broken) = packing::frames(self.sources.clone(), pack, {
            let (sent, step) = (self.sent.clone(), step.clone());
            move |size, travels| {
                sent.fetch_add(travels, Ordering::Relaxed);
                step.advance(size);
            }
        });
        let answer = self.client.send_pack(self.site, build, frames).await;
        // A file that changed breaks the connection off, and is the reason worth telling.
        if let Some(error) = broken.take() {
            return Err(error.into());
        }
        let kept = usize::try_from(answer?.stored).unwrap_or(usize::MAX);
        if kept < count { Err(UploadError::NotKept(count - kept)) } else { Ok(()) }
    }
}
