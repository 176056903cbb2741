//! Which blobs the wanted releases reference, how important each is on disk, and how urgent to fetch.

use std::cmp::Reverse;
use std::collections::HashMap;

use verge_protocol::Digest;

use super::resources::Resources;

/// How important it is to have a blob on disk, the least first: eviction starts at the bottom, and what is important gets the room.
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

/// How urgent it is to fetch the blobs of a release, the least first. A push waits for what is being prepared, and for nothing else: an
/// edge that has much to fetch does not hold it up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Urgency {
    /// Whether a rollout waits for the release.
    pub(crate) is_preparing: bool,
    pub(crate) priority: Priority,
}

/// A blob that a wanted release references.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReferencedBlob {
    /// The highest priority among its references.
    pub(crate) priority: Priority,
    /// The highest urgency among its references.
    pub(crate) urgency: Urgency,
    /// Where it is in the order of fetching of a release with that urgency; the lowest among them.
    pub(crate) rank: u32,
    /// In bytes.
    pub(crate) size: u64,
}

/// Every blob that a wanted release references.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct ReferencedBlobs(HashMap<Digest, ReferencedBlob>);

impl ReferencedBlobs {
    /// The blobs of `releases`.
    pub(crate) fn of<'a>(releases: impl Iterator<Item = (&'a Resources, Urgency)>) -> Self {
        let mut blobs = Self::default();
        for (resources, urgency) in releases {
            let priority = urgency.priority;
            for (rank, blob) in (0..).zip(resources.blobs().iter()) {
                let reference = ReferencedBlob { priority, urgency, rank, size: blob.size };
                let known = blobs.0.entry(blob.digest).or_insert(reference);
                known.priority = known.priority.max(priority);
                if (urgency, Reverse(rank)) > (known.urgency, Reverse(known.rank)) {
                    (known.urgency, known.rank) = (urgency, rank);
                }
            }
        }
        blobs
    }

    /// The priority of a blob, referenced or not.
    pub(crate) fn priority(&self, digest: &Digest) -> Priority {
        self.0.get(digest).map_or(Priority::Unreferenced, |blob| blob.priority)
    }

    /// The urgency of a blob; `None` if it is not referenced.
    pub(crate) fn urgency(&self, digest: &Digest) -> Option<Urgency> {
        self.0.get(digest).map(|blob| blob.urgency)
    }

    /// Every referenced blob, in no particular order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Digest, ReferencedBlob)> + '_ {
        self.0.iter().map(|(digest, blob)| (*digest, *blob))
    }
}

#[cfg(test)]
impl ReferencedBlob {
    /// The first blob of a release that no rollout waits for.
    pub(crate) fn new(priority: Priority, size: u64) -> Self {
        Self { priority, urgency: Urgency { is_preparing: false, priority }, rank: 0, size }
    }
}

#[cfg(test)]
impl FromIterator<(Digest, ReferencedBlob)> for ReferencedBlobs {
    fn from_iter<I: IntoIterator<Item = (Digest, ReferencedBlob)>>(blobs: I) -> Self {
        Self(blobs.into_iter().collect())
    }
}
