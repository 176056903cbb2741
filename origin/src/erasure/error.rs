//! Errors of erasing.

use verge_protocol::api::EraseTarget;
use verge_protocol::{ChannelName, ReleaseNumber, SitePath};

use crate::publish::PublishError;
use crate::store::StoreError;

/// Why nothing was erased.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErasureError {
    #[error("channel {channel} serves these bytes at `{path}`")]
    InUse { channel: ChannelName, path: SitePath },
    #[error("{}", nothing(.0))]
    Nothing(EraseTarget),
    /// The site has no such release.
    #[error("the site has no release {0}")]
    UnknownRelease(ReleaseNumber),
    #[error("the site was changed while the erasure was planned")]
    Busy,
    #[error("the origin is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn nothing(target: &EraseTarget) -> String {
    match target {
        EraseTarget::Path(path) => format!("no release has a file at `{path}`"),
        EraseTarget::Release(number) => format!("{number} has no file that is in no other release"),
    }
}
