//! Requests to the origins, which are tried in order. Manifests and blobs are verified before callers get them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use futures_util::FutureExt as _;
use reqwest::Response;
use verge_daemon::error_chain;
use verge_daemon::origins::{OriginError, OriginUrl, Origins};
use verge_protocol::api::{BlobsRequest, SecretsAnswer, SecretsRequest};
use verge_protocol::compression::DecompressError;
use verge_protocol::manifest::ManifestError;
use verge_protocol::pack::{Decoder, Frame, PackError};
use verge_protocol::report::EdgeReport;
use verge_protocol::rules::LimitError;
use verge_protocol::{Blob, Digest, Manifest, compression};

use crate::metrics::Metrics;

/// Maximum size of a manifest in bytes, compressed and decompressed: enough for a hundred thousand files with long names and
/// several encodings.
const MAX_COMPRESSED_MANIFEST: usize = 64 << 20;
const MAX_MANIFEST: usize = 256 << 20;

/// A client of the origins. Clones share connections.
#[derive(Clone)]
pub(crate) struct Upstream {
    origins: Origins,
    metrics: Metrics,
    received_bytes: Arc<AtomicU64>,
}

/// Why an origin did not send what was requested.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It could not be reached, or did not answer with success.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// It sent an invalid or truncated pack.
    #[error("invalid pack from the origin")]
    Pack(#[from] PackError),
    /// It sent another blob, or does not have this one.
    #[error("the origin did not send blob {0}")]
    MissingBlob(Digest),
    /// It sent more than [`MAX_COMPRESSED_MANIFEST`].
    #[error("the origin's manifest is larger than {0} bytes")]
    ManifestTooLarge(usize),
    /// It sent a manifest that cannot be decompressed.
    #[error("failed to decompress the origin's manifest")]
    Compression(#[from] DecompressError),
    /// It sent another manifest, or an invalid one.
    #[error("invalid manifest from the origin")]
    Manifest(#[from] ManifestError),
    /// It sent a manifest whose rules would take too much memory or time.
    #[error("manifest {id} from the origin is refused")]
    Rules {
        /// The manifest.
        id: Digest,
        /// The limit.
        source: LimitError,
    },
}

impl UpstreamError {
    /// Whether the origin could not be reached, as opposed to a wrong answer.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Origin(error) => error.is_unreachable(),
            Self::Pack(PackError::Truncated) => true,
            _ => false,
        }
    }

    /// Whether the origin does not have the manifest that was requested, or cannot read it.
    pub(crate) fn is_lacking(&self) -> bool {
        matches!(self, Self::Origin(error) if error.is_lacking())
    }
}

impl Upstream {
    pub(crate) fn new(origins: Origins, metrics: Metrics) -> Self {
        Self { origins, metrics, received_bytes: Arc::default() }
    }

    /// How many bytes of packs have arrived.
    pub(crate) fn received_bytes(&self) -> u64 {
        self.received_bytes.load(Ordering::Relaxed)
    }

    /// The origins that it asks.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Reports to the first origin that accepts it.
    pub(crate) async fn report(&self, report: &EdgeReport) -> Result<(), OriginError> {
        let attempt = |origin| {
            let request = self.origins.post(origin, "v1/edges/report").json(report);
            async move { self.origins.send(request).await.map(drop) }.boxed()
        };
        self.origins.first(attempt).await
    }

    /// Requests secrets from the first origin that answers, sealed to this edge's public key.
    pub(crate) async fn secrets(&self, request: &SecretsRequest) -> Result<SecretsAnswer, OriginError> {
        let attempt = |origin| {
            let request = self.origins.post(origin, "v1/secrets").json(request);
            async move { self.origins.send(request).await?.json().await.map_err(OriginError::truncated) }.boxed()
        };
        self.origins.first(attempt).await
    }

    /// Requests blobs from the first origin that answers. Blobs that it lacks are frames of the pack, not errors.
    pub(crate) async fn pack(&self, digests: &[Digest]) -> Result<PackReader, UpstreamError> {
        self.origins.first(|origin| self.pack_from(origin, digests).boxed()).await
    }

    async fn pack_from(&self, origin: &OriginUrl, digests: &[Digest]) -> Result<PackReader, UpstreamError> {
        self.metrics.upstream_blobs.inc_by(digests.len() as u64);
        let blobs = BlobsRequest { digests: digests.to_vec() };
        let request = self.origins.post(origin, "v1/blobs").json(&blobs);
        let response = self.origins.send(request).await?;
        Ok(PackReader { response, decoder: Decoder::default(), received_bytes: Arc::clone(&self.received_bytes) })
    }

    /// Fetches one blob. An origin that sends something else is skipped like one that is unreachable. A single origin is asked
    /// twice if its answer was cut or garbled in transit, but once if it does not have the blob.
    ///
    /// The end of the answer may be yet to come: [`PackReader::end`] waits for it, after which its connection is used again.
    pub(crate) async fn blob(&self, digest: Digest) -> Result<(Blob, PackReader), UpstreamError> {
        let attempt = |origin| async move { single(self.pack_from(origin, &[digest]).await?, digest).await }.boxed();
        let fetch = || self.origins.first(attempt);
        match fetch().await {
            Err(
                error @ (UpstreamError::Origin(OriginError::Unreachable { .. } | OriginError::Truncated(_))
                | UpstreamError::Pack(_)),
            ) if self.origins.urls().len() == 1 => {
                tracing::debug!(%digest, error = %error_chain(&error), "failed to fetch a blob: retrying once");
                fetch().await
            }
            result => result,
        }
    }

    /// Fetches a manifest: its canonical bytes, and the manifest parsed from them.
    pub(crate) async fn manifest(&self, id: Digest) -> Result<(Vec<u8>, Manifest), UpstreamError> {
        self.origins.first(|origin| self.manifest_from(origin, id).boxed()).await
    }

    async fn manifest_from(&self, origin: &OriginUrl, id: Digest) -> Result<(Vec<u8>, Manifest), UpstreamError> {
        let request = self.origins.get(origin, &format!("v1/manifests/{id}"));
        let mut response = self.origins.send(request).await?;
        let mut compressed = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(OriginError::truncated)? {
            compressed.extend_from_slice(&chunk);
            if compressed.len() > MAX_COMPRESSED_MANIFEST {
                return Err(UpstreamError::ManifestTooLarge(MAX_COMPRESSED_MANIFEST));
            }
        }
        let bytes = compression::decompress(&compressed, MAX_MANIFEST)?;
        let manifest = Manifest::verify(id, &bytes)?;
        manifest.rules.check().map_err(|source| UpstreamError::Rules { id, source })?;
        Ok((bytes, manifest))
    }
}

/// A pack that is being received.
pub(crate) struct PackReader {
    response: Response,
    decoder: Decoder,
    received_bytes: Arc<AtomicU64>,
}

impl PackReader {
    /// Waits for the end, if it comes soon, so that the connection is used again: another one would cost more than the wait.
    pub(crate) async fn end(mut self) {
        const SOON: Duration = Duration::from_secs(1);
        let _ = tokio::time::timeout(SOON, self.next()).await;
    }

    /// The next frame; `None` at the end of a complete pack. After an error the pack is unusable.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, UpstreamError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            let Some(chunk) = self.response.chunk().await.map_err(OriginError::truncated)? else {
                self.decoder.finish()?;
                return Ok(None);
            };
            self.received_bytes.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            self.decoder.push(&chunk);
        }
    }
}

/// The only blob of a pack, and the pack, whose end may be yet to come: the blob is verified already.
async fn single(mut pack: PackReader, digest: Digest) -> Result<(Blob, PackReader), UpstreamError> {
    match pack.next().await? {
        Some(Frame::Blob(blob)) if blob.digest() == digest => Ok((blob, pack)),
        _ => Err(UpstreamError::MissingBlob(digest)),
    }
}
