//! The origins, as an edge asks them. They are tried in order; what they answer is verified before anybody sees it.

mod fetch;

use futures_util::FutureExt as _;
use verge_daemon::origins::{OriginError, OriginUrl, Origins};
use verge_protocol::Digest;
use verge_protocol::api::BlobsRequest;
use verge_protocol::compression::DecompressError;
use verge_protocol::manifest::ManifestError;
use verge_protocol::pack::PackError;
use verge_protocol::report::EdgeReport;

pub(crate) use self::fetch::Pack;
use crate::metrics::Metrics;

/// Asks the origins. Clones share connections.
#[derive(Clone)]
pub(crate) struct Upstream {
    origins: Origins,
    metrics: Metrics,
}

/// Why an origin did not give what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    /// It could not be asked, or refused.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// It sent something that is no pack, or was cut short.
    #[error("the origin's pack cannot be read")]
    Pack(#[from] PackError),
    /// It sent another blob, or says that it does not hold this one.
    #[error("the origin does not give blob {0}")]
    Missing(Digest),
    /// It sent more than anything sensible has.
    #[error("the origin's answer is longer than {0} bytes")]
    TooLong(usize),
    /// What it sent does not unpack.
    #[error("the origin's manifest does not unpack")]
    Compression(#[from] DecompressError),
    /// What it sent is another manifest, or none.
    #[error("the origin's manifest is not the one asked for")]
    Manifest(#[from] ManifestError),
}

impl UpstreamError {
    /// Whether it is about reaching the origin rather than about what it answers.
    pub(crate) fn is_unreachable(&self) -> bool {
        match self {
            Self::Origin(error) => error.is_unreachable(),
            Self::Pack(PackError::Truncated) => true,
            _ => false,
        }
    }
}

impl Upstream {
    /// What an edge asks of `origins`.
    pub(crate) fn new(origins: Origins, metrics: Metrics) -> Self {
        Self { origins, metrics }
    }

    /// Whom it asks.
    pub(crate) fn origins(&self) -> &Origins {
        &self.origins
    }

    /// Tells the first origin that listens what this edge serves.
    pub(crate) async fn report(&self, report: &EdgeReport) -> Result<(), OriginError> {
        let attempt = |origin| {
            let request = self.origins.post(origin, "v1/edges/report").json(report);
            async move { self.origins.send(request).await.map(drop) }.boxed()
        };
        self.origins.first(attempt).await
    }

    /// Asks the first origin that answers for blobs; those that are kept are the caller's to count.
    pub(crate) async fn pack(&self, digests: &[Digest]) -> Result<Pack, UpstreamError> {
        self.origins.first(|origin| self.pack_from(origin, digests).boxed()).await
    }

    async fn pack_from(&self, origin: &OriginUrl, digests: &[Digest]) -> Result<Pack, UpstreamError> {
        self.metrics.upstream_blobs.inc_by(digests.len() as u64);
        let wanted = BlobsRequest { digests: digests.to_vec() };
        let request = self.origins.post(origin, "v1/blobs").json(&wanted);
        Ok(Pack::new(self.origins.send(request).await?))
    }
}
