//! Which blobs the wanted releases reference, and how important each is.

use std::cmp::Reverse;
use std::collections::HashMap;

use verge_protocol::Digest;

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
    /// A release that a `live` channel is about to serve references it.
    Coming,
    /// The release that a `live` channel serves references it.
    Live,
}

/// A blob that a wanted release references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReferencedBlob {
    /// The highest priority among its references.
    pub(crate) priority: Priority,
    /// Where it is in the order of fetching of a release with that priority; the lowest among them.
    pub(crate) rank: u32,
    /// In bytes.
    pub(crate) size: u64,
}

/// Every blob that a wanted release references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReferencedBlobs(HashMap<Digest, ReferencedBlob>);

impl ReferencedBlobs {
    /// The blobs of `releases`.
    pub(crate) fn of<'a>(releases: impl Iterator<Item = (&'a Resources, Priority)>) -> Self {
        let mut blobs = Self::default();
        for (resources, priority) in releases {
            for (rank, blob) in (0..).zip(resources.blobs().iter()) {
                let reference = ReferencedBlob { priority, rank, size: blob.size };
                let known = blobs.0.entry(blob.digest).or_insert(reference);
                if (priority, Reverse(rank)) > (known.priority, Reverse(known.rank)) {
                    *known = reference;
                }
            }
        }
        blobs
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
