//! The releases whose blobs should be on disk.

use std::collections::BTreeMap;
use std::sync::Arc;

use verge_protocol::Digest;

use crate::table::{Priority, ReferencedBlobs, Resources, Urgency};

/// The releases whose manifests have arrived and whose blobs should be on disk, by their manifests.
#[derive(Clone, Default)]
pub(super) struct Wanted(BTreeMap<Digest, WantedRelease>);

#[derive(Clone)]
struct WantedRelease {
    resources: Arc<Resources>,
    /// The highest among its references.
    urgency: Urgency,
    is_awaited: bool,
}

impl Wanted {
    pub(super) fn add(&mut self, resources: &Arc<Resources>, priority: Priority) {
        let urgency = Urgency { is_preparing: false, priority };
        let new = || WantedRelease { resources: Arc::clone(resources), urgency, is_awaited: false };
        let release = self.0.entry(resources.manifest()).or_insert_with(new);
        release.urgency.priority = release.urgency.priority.max(priority);
    }

    /// Something waits for all blobs of the release, if it is wanted.
    pub(super) fn set_awaited(&mut self, manifest: Digest) {
        if let Some(release) = self.0.get_mut(&manifest) {
            release.is_awaited = true;
        }
    }

    /// A rollout waits for the release, if it is wanted.
    pub(super) fn set_preparing(&mut self, manifest: Digest) {
        if let Some(release) = self.0.get_mut(&manifest) {
            release.urgency.is_preparing = true;
        }
    }

    pub(super) fn contains(&self, manifest: Digest) -> bool {
        self.0.contains_key(&manifest)
    }

    /// The manifests, the most urgent first.
    pub(super) fn manifests(&self) -> Vec<Digest> {
        let mut releases: Vec<&WantedRelease> = self.0.values().collect();
        releases.sort_by_key(|release| std::cmp::Reverse(release.urgency));
        releases.into_iter().map(|release| release.resources.manifest()).collect()
    }

    /// The releases of which something waits for all blobs.
    pub(super) fn awaited(&self) -> impl Iterator<Item = &Resources> {
        self.0.values().filter(|release| release.is_awaited).map(|release| &*release.resources)
    }

    /// The blobs of all releases.
    pub(super) fn blobs(&self) -> ReferencedBlobs {
        ReferencedBlobs::of(self.0.values().map(|release| (&*release.resources, release.urgency)))
    }
}

/// The resources of a manifest are made once, and once more when a content of them is erased.
impl PartialEq for Wanted {
    fn eq(&self, other: &Self) -> bool {
        let key = |(manifest, release): (&Digest, &WantedRelease)| {
            (*manifest, Arc::as_ptr(&release.resources), release.urgency, release.is_awaited)
        };
        self.0.iter().map(key).eq(other.0.iter().map(key))
    }
}

impl std::fmt::Debug for Wanted {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let entries = self.0.iter().map(|(manifest, release)| (manifest, (release.urgency, release.is_awaited)));
        formatter.debug_map().entries(entries).finish()
    }
}
