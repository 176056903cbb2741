//! Manifests and blobs, verified as they come.

use bytes::BytesMut;
use futures_util::FutureExt as _;
use reqwest::Response;
use verge_daemon::error_chain;
use verge_daemon::origins::{OriginError, OriginUrl};
use verge_protocol::pack::{Decoder, Frame};
use verge_protocol::{Blob, Digest, Manifest, compression};

use super::{Upstream, UpstreamError};

/// The most bytes a manifest may have, packed and unpacked: a hundred thousand files with long names and several codings fit.
const MANIFEST_PACKED_MAX: usize = 64 << 20;
const MANIFEST_MAX: usize = 256 << 20;

/// A pack on its way.
pub(crate) struct Pack {
    response: Response,
    decoder: Decoder,
}

impl Pack {
    pub(super) fn new(response: Response) -> Self {
        Self { response, decoder: Decoder::default() }
    }

    /// The next frame; `None` at the end of a pack that came whole. An error is final.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, UpstreamError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                return Ok(Some(frame));
            }
            let Some(piece) = self.response.chunk().await.map_err(OriginError::from)? else {
                self.decoder.finish()?;
                return Ok(None);
            };
            self.decoder.push(&piece);
        }
    }
}

impl Upstream {
    /// Fetches one blob. An origin that sends something else is passed over like one that is away. A single origin is asked
    /// twice when what it sent was cut or garbled on the way: that comes through the next time. What it does not hold, it does
    /// not hold the next moment either.
    pub(crate) async fn blob(&self, digest: Digest) -> Result<Blob, UpstreamError> {
        let attempt = |origin| async move { single(self.pack_from(origin, &[digest]).await?, digest).await }.boxed();
        let fetch = || self.origins.first(attempt);
        match fetch().await {
            Err(
                error @ (UpstreamError::Origin(OriginError::Unreachable { .. } | OriginError::Truncated(_))
                | UpstreamError::Pack(_)),
            ) if self.origins.urls().len() == 1 => {
                tracing::debug!(%digest, error = %error_chain(&error), "a blob did not come: asking once more");
                fetch().await
            }
            outcome => outcome,
        }
    }

    /// Fetches a manifest: its canonical bytes, and what they say.
    pub(crate) async fn manifest(&self, id: Digest) -> Result<(Vec<u8>, Manifest), UpstreamError> {
        self.origins.first(|origin| self.manifest_from(origin, id).boxed()).await
    }

    async fn manifest_from(&self, origin: &OriginUrl, id: Digest) -> Result<(Vec<u8>, Manifest), UpstreamError> {
        let request = self.origins.get(origin, &format!("v1/manifests/{id}"));
        let mut response = self.origins.send(request).await?;
        let mut packed = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(OriginError::from)? {
            packed.extend_from_slice(&piece);
            if packed.len() > MANIFEST_PACKED_MAX {
                return Err(UpstreamError::TooLong(MANIFEST_PACKED_MAX));
            }
        }
        let bytes = compression::decompress(&packed, MANIFEST_MAX)?;
        let manifest = Manifest::verify(id, &bytes)?;
        Ok((bytes, manifest))
    }
}

/// The one blob of a pack. The rest of the pack is not waited for: the blob is proven by itself.
async fn single(mut pack: Pack, digest: Digest) -> Result<Blob, UpstreamError> {
    match pack.next().await? {
        Some(Frame::Blob(blob)) if blob.digest() == digest => {
            // To the end if it is there already, so that the connection can be used again.
            let _ = pack.next().now_or_never();
            Ok(blob)
        }
        _ => Err(UpstreamError::Missing(digest)),
    }
}
