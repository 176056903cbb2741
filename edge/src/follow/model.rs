//! Following without tasks, sockets, clocks and disks: the steps of [`apply`](super::apply), each called separately, and the plan of
//! [`prefetch`](super::prefetch).

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use verge_daemon::feed::Change;
use verge_daemon::saved_state;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{EdgeReport, PurgeProof};
use verge_protocol::{Checkpoint, Digest, EdgeName, Generation, Manifest, Seq};

use super::channels::saved_state::ToSave;
use super::channels::{Channels, DuePurge};
use super::holding::Holding;
use super::manifests::ManifestFailure;
use super::prefetch_batches::prefetch_plan;
use super::prefetch_status::PrefetchStatus;
use super::report::report_of;
use crate::metrics::{Metrics, Traffic};
use crate::model::ServedTable;
use crate::status::{AppliedState, Availability};
use crate::store::Room;
use crate::table::{ReferencedBlobs, Resources};

/// The index of a disk.
pub trait Disk {
    /// Whether it has a manifest.
    fn has_manifest(&self, id: &Digest) -> bool;
    /// Whether it has a blob.
    fn has_blob(&self, blob: &Digest) -> bool;
    /// Whether it has no manifests and no blobs.
    fn is_empty(&self) -> bool;
}

/// A manifest as an edge holds it. Clones share it.
#[derive(Clone)]
pub struct ReleaseFiles(Arc<Resources>);

/// The contents of the state file.
#[derive(Clone)]
pub struct Saved(ToSave);

/// The row that a channel serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Serving {
    /// The channel.
    pub label: HostLabel,
    /// The generation in which the row was received last.
    pub generation: Generation,
    /// Its epoch.
    pub epoch: Seq,
    /// Its manifest.
    pub manifest: Digest,
}

/// A purge to be carried out.
pub struct Purge(DuePurge);

impl Purge {
    /// The blobs to be removed from disk.
    pub fn erased(&self) -> &[Digest] {
        &self.0.erased
    }
}

/// What an edge decides about the feed. Times are since the start of its process.
pub struct Follower {
    name: EdgeName,
    channels: Channels,
    status: PrefetchStatus,
    referenced: ReferencedBlobs,
    applied: AppliedState,
    traffic: Arc<Traffic>,
}

impl ReleaseFiles {
    /// The release of the manifest `id`.
    pub fn new(id: Digest, manifest: Manifest) -> Self {
        Self(Arc::new(Resources::new(id, manifest)))
    }
}

impl Saved {
    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        saved_state::encode(self.0.records()).expect("plain data serializes")
    }
}

impl Follower {
    /// The edge `name` begins with a state file, which may be damaged; without one, with nothing. `load` reads manifests from `disk`.
    pub fn restore(
        name: EdgeName,
        saved: Option<&[u8]>,
        load: impl Fn(&Digest) -> Option<ReleaseFiles>,
        disk: &impl Disk,
    ) -> Self {
        let channels = saved.map(|bytes| Channels::restore(saved_state::decode(bytes)).0);
        let mut channels = channels.unwrap_or_default();
        channels.set_name(name.clone());
        if saved.is_none() && disk.is_empty() {
            channels.set_new();
        }
        for id in channels.missing_manifests() {
            if let Some(ReleaseFiles(resources)) = load(&id) {
                channels.add_manifest(resources);
            }
        }
        channels.check_held(|release| release.blobs().iter().all(|blob| disk.has_blob(&blob.digest)));
        channels.advance(Duration::ZERO);
        let applied = channels.applied_state();
        let traffic = Metrics::new(&mut Registry::default()).unrouted;
        let (status, referenced) = (PrefetchStatus::default(), ReferencedBlobs::default());
        Self { name, channels, status, referenced, applied, traffic }
    }

    /// The checkpoint from which to open the feed.
    pub fn checkpoint(&self) -> Option<Checkpoint> {
        self.channels.checkpoint()
    }

    /// Ingests a change.
    pub fn apply(&mut self, change: Change) {
        self.channels.apply(change);
    }

    /// Adds a manifest that has arrived.
    pub fn add_manifest(&mut self, ReleaseFiles(resources): ReleaseFiles) {
        self.channels.add_manifest(resources);
    }

    /// Records that a manifest could not be fetched.
    pub fn record_failure(&mut self, id: Digest, reason: &str) {
        self.channels.record_failure(id, ManifestFailure::of(reason));
    }

    /// The manifests to fetch.
    pub fn missing_manifests(&self) -> Vec<Digest> {
        self.channels.missing_manifests()
    }

    /// The manifests that must stay on disk.
    pub fn referenced_manifests(&self) -> HashSet<Digest> {
        self.channels.referenced_manifests()
    }

    /// Looks how much of releases is on disk, of all that something waits for or of those of which it is not known, and moves channels to
    /// what they hold. Returns whether readers are to see another table.
    pub fn advance(&mut self, now: Duration, all: bool, disk: &impl Disk) -> bool {
        self.channels.prune(now);
        let releases = if all { self.channels.awaited_releases() } else { self.channels.unchecked_releases() };
        for release in releases {
            let id = release.manifest();
            let missing = release.blobs().iter().filter(|blob| !disk.has_blob(&blob.digest));
            let missing = missing.map(|blob| (blob.file, blob.size, blob.digest));
            let is_left_out = |blob: &Digest| self.status.is_left_out(id, blob);
            let holding = Holding::compute(release.blobs(), disk.has_manifest(&id), missing, is_left_out, |_| false);
            self.channels.set_holding(id, holding);
        }
        self.channels.advance(now)
    }

    /// Whether there is something to save since the last call.
    pub fn take_unsaved(&mut self) -> bool {
        self.channels.take_unsaved()
    }

    /// What is to be saved.
    pub fn to_save(&self, now: Duration) -> Saved {
        Saved(self.channels.to_save(now))
    }

    /// A served manifest that is not on disk.
    pub fn unsaved_manifest(&self, disk: &impl Disk) -> Option<Digest> {
        self.channels.served_manifests().find(|id| !disk.has_manifest(id))
    }

    /// Computes what [`Self::report`] says. `not_saving` is why the state is not saved, if it is not.
    pub fn set_applied(&mut self, not_saving: Option<String>) {
        self.applied = AppliedState { not_saving, ..self.channels.applied_state() };
        self.applied.retract_unsaved();
    }

    /// The report as of the last [`Self::set_applied`]; `None` before the first snapshot.
    pub fn report(&self) -> Option<EdgeReport> {
        report_of(self.name.clone(), &self.applied)
    }

    /// Whether readers may be sent here, as of the last [`Self::set_applied`], when no origin was seen for `silence`; `is_unreachable`:
    /// the last attempt to reach one failed.
    pub fn is_available(&self, silence: Duration, is_unreachable: bool) -> bool {
        self.applied.availability(silence, is_unreachable, || true) == Availability::Available
    }

    /// Begins a purge that can be carried out now, if none is in progress.
    pub fn start_purge(&mut self, now: Duration) -> Option<Purge> {
        self.channels.start_purge(now).map(Purge)
    }

    /// Records that a purge is done.
    pub fn record_purge(&mut self, Purge(DuePurge { site, generation, purge, .. }): Purge) {
        let proof = PurgeProof { site, seq: purge.seq, files: 0, bytes: 0, bad: 0, replaced: 0, serves: None };
        self.channels.record_purge(generation, proof);
    }

    /// The table for readers, and the rows that it serves.
    pub fn table(&self) -> (ServedTable, Vec<Serving>) {
        let table = self.channels.build_table(|_| Arc::clone(&self.traffic));
        let serving = self.channels.serving_rows().map(|(label, generation, state)| Serving {
            label,
            generation,
            epoch: state.epoch,
            manifest: state.manifest,
        });
        (ServedTable(table), serving.collect())
    }

    /// The blobs to fetch, the most important first, for a disk with room for so many bytes of blobs; and whether others than before are
    /// left out.
    pub fn plan(&mut self, room: u64, disk: &impl Disk) -> (Vec<Digest>, bool) {
        let wanted = self.channels.wanted();
        self.referenced = wanted.blobs();
        let mut plan = prefetch_plan(&self.referenced, Room::of(room), |blob| disk.has_blob(blob));
        let has_changed = (&*self.status.planned, &*self.status.left_out) != (&wanted, &plan.left_out);
        self.status.planned = Arc::new(wanted);
        self.status.left_out = Arc::new(plan.left_out);
        let batches = std::iter::from_fn(|| Some(plan.queue.next_batch()).filter(|batch| !batch.is_empty()));
        (batches.flatten().collect(), has_changed)
    }

    /// How important a blob is as of the last [`Self::plan`]: prefetching evicts less important ones.
    pub fn importance(&self, blob: &Digest) -> u8 {
        self.referenced.priority(blob) as u8
    }
}
