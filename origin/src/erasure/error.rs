//! Errors of erasing.

use std::collections::BTreeSet;

use verge_protocol::api::EraseTarget;
use verge_protocol::{ChannelName, ReleaseNumber, SitePath};

use crate::publish::PublishError;
use crate::store::StoreError;

/// Why an erasure failed. Nothing was erased, unless it is [`Self::Store`] or [`Self::ShuttingDown`]: then some of the contents may be erased, and
/// the same erasure made again completes it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ErasureError {
    /// The channels that serve what is to be erased, or are about to, and where.
    #[error("{}", in_use(.0))]
    InUse(BTreeSet<(ChannelName, SitePath)>),
    #[error("{}", nothing(.0))]
    Nothing(EraseTarget),
    /// The site has no such release.
    #[error("the site has no release {0}")]
    UnknownRelease(ReleaseNumber),
    #[error("the site was changed while the erasure was planned")]
    Busy,
    #[error("failed to plan the erasure")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("the origin is shutting down")]
    ShuttingDown,
    #[error(transparent)]
    Publish(#[from] PublishError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// How many channels are named in an error.
const CHANNELS_SHOWN: usize = 10;

fn in_use(uses: &BTreeSet<(ChannelName, SitePath)>) -> String {
    // One path of each channel.
    let mut channels: Vec<_> = uses.iter().collect();
    channels.dedup_by_key(|(channel, _)| channel);
    if let [(channel, path)] = channels[..] {
        return format!("channel {channel} serves these bytes at `{path}`");
    }
    let shown = channels.iter().take(CHANNELS_SHOWN).map(|(channel, path)| format!("{channel} at `{path}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    let more = match channels.len().saturating_sub(CHANNELS_SHOWN) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{} channels serve these bytes: {shown}{more}", channels.len())
}

fn nothing(target: &EraseTarget) -> String {
    match target {
        EraseTarget::Path(path) => format!("no release has a file that is not empty at `{path}`"),
        EraseTarget::Release(number) => format!("{number} has no file that is not empty and in no other release"),
    }
}
