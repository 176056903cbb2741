//! Which blobs a table references, and how important each is.

use std::collections::HashMap;
use std::sync::Arc;

use verge_protocol::{Content, Digest, Timestamp};

use super::channel::Channel;
use super::resources::Resources;

/// How important a blob is, the least first: eviction starts at the bottom, prefetching at the top.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Priority {
    /// No channel references it.
    Unreferenced,
    /// A channel other than `live` references it.
    Preview,
    /// A `live` channel inherits it from an earlier release.
    Inherited,
    /// The current release of a `live` channel references it.
    Live,
}

/// A blob that a table references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReferencedBlob {
    /// The highest priority among its references.
    pub(crate) priority: Priority,
    /// In bytes.
    pub(crate) size: u64,
}

/// Every blob that a table references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReferencedBlobs(HashMap<Digest, ReferencedBlob>);

impl ReferencedBlobs {
    /// The blobs that `channels` reference from `now` on.
    pub(crate) fn of<'a>(channels: impl Iterator<Item = &'a Arc<Channel>>, now: Timestamp) -> Self {
        let mut blobs = Self::default();
        for channel in channels {
            let is_live = channel.label().channel.is_live();
            blobs.add(channel.own(), if is_live { Priority::Live } else { Priority::Preview });
            for inherited in channel.inherited(now) {
                blobs.add(inherited, if is_live { Priority::Inherited } else { Priority::Preview });
            }
        }
        blobs
    }

    fn add(&mut self, resources: &Resources, priority: Priority) {
        for slice in resources.contents().flat_map(Content::slices) {
            let blob = self.0.entry(slice.digest).or_insert(ReferencedBlob { priority, size: slice.size });
            blob.priority = blob.priority.max(priority);
        }
    }

    /// The priority of a blob, referenced or not.
    pub(crate) fn priority(&self, digest: &Digest) -> Priority {
        self.0.get(digest).map_or(Priority::Unreferenced, |blob| blob.priority)
    }

    /// Every referenced blob, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Digest, ReferencedBlob)> + '_ {
        self.0.iter().map(|(digest, blob)| (*digest, *blob))
    }
}

#[cfg(test)]
impl FromIterator<(Digest, ReferencedBlob)> for ReferencedBlobs {
    fn from_iter<I: IntoIterator<Item = (Digest, ReferencedBlob)>>(blobs: I) -> Self {
        Self(blobs.into_iter().collect())
    }
}
