//! Errors of publishing.

use verge_protocol::host::HostLabel;
use verge_protocol::manifest::ManifestError;
use verge_protocol::state::ChannelState;
use verge_protocol::{Coding, Digest, ReleaseNumber, SiteName, SitePath};

use crate::store::StoreError;

/// Why a release was not created, a channel not moved, or a content not read. The channel is unchanged.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("another push or rollback came first: {label} is at {}", release(.current.as_ref()))]
    Conflict { label: HostLabel, current: Option<ChannelState> },
    #[error("another push or rollback of {0} is in progress")]
    ChannelBusy(HostLabel),
    #[error("this request has moved {0} already, and the channel was deleted since")]
    ChannelDeleted(HostLabel),
    #[error("{release} of {label} was not made live: {reason}")]
    Abandoned { label: HostLabel, release: ReleaseNumber, reason: String },
    #[error("{missing} blobs of the build are missing, the first is {first}")]
    MissingBlobs { missing: usize, first: Digest },
    #[error("blob {0} is corrupt or missing on disk")]
    CorruptBlob(Digest),
    #[error("`{path}` has bytes that were erased from {site}, where they were at `{erased}`")]
    ErasedContent { site: SiteName, path: SitePath, erased: SitePath },
    #[error("{release} of {site} has bytes at `{path}` that were erased")]
    ErasedRelease { site: SiteName, release: ReleaseNumber, path: SitePath },
    #[error("{release} of {site} was deleted")]
    DeletedRelease { site: SiteName, release: ReleaseNumber },
    #[error("failed to encode content {digest} by {coding}")]
    Encoding { digest: Digest, coding: Coding, source: std::io::Error },
    #[error("failed to decode content {digest} by {coding}")]
    Decoding { digest: Digest, coding: Coding, source: std::io::Error },
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    #[error("content {0} does not match its blobs")]
    WrongContent(Digest),
    #[error("there is no manifest {0}")]
    UnknownManifest(Digest),
    #[error("manifest {0} is corrupt or missing on disk")]
    CorruptManifest(Digest),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn release(current: Option<&ChannelState>) -> String {
    current.map_or_else(|| "no release".to_owned(), |state| state.release.to_string())
}
