//! What the origin remembers.

use std::collections::{BTreeMap, BTreeSet};

use verge_protocol::api::{BuildDiff, ChannelHead, LaggingEdge, Limits, Provenance};
use verge_protocol::{Build, ChannelName, Digest, ReleaseNumber, Seq, SiteName};

/// Everything, in memory.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) sites: BTreeMap<SiteName, Site>,
    /// Builds by id, with the digest of their bytes: the same bytes are the same build.
    pub(crate) builds: BTreeMap<String, Build>,
    /// Method and path of every request.
    pub(crate) requests: Vec<String>,
    /// Every blob that arrived whole, as often as it did.
    pub(crate) received: Vec<Digest>,
    pub(crate) faults: Faults,
    pub(crate) epoch: u64,
}

/// How it misbehaves.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each fault comes on its own")]
pub(crate) struct Faults {
    /// Refuses every request with 403.
    pub(crate) forbidden: bool,
    /// Answers so many POSTs with 503, from the next upload on.
    pub(crate) unavailable: u32,
    /// Breaks every second upload off after so many blobs.
    pub(crate) cut_after: Option<usize>,
    pub(crate) uploads: usize,
    /// Ends every connection after one answer, so that each request is one connection.
    pub(crate) closes: bool,
    /// Takes packs and keeps nothing.
    pub(crate) forgetful: bool,
    /// Loses every blob just before the next release.
    pub(crate) loses_blobs: bool,
    /// Lets another push win just before the next release.
    pub(crate) overtaken: bool,
    /// Ends the stream of the next release there.
    pub(crate) ends_early: Option<Early>,
    pub(crate) lagging: Vec<LaggingEdge>,
    pub(crate) limits: Option<Limits>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    /// With a gateway's word instead of the origin's.
    AtTheGateway,
    BeforeReleased,
    /// With a line that is no event, instead of the release.
    Garbled,
    AfterReleased,
    /// With an error, whose words a terminal would obey.
    FailedAfterReleased,
}

#[derive(Default)]
pub(crate) struct Site {
    pub(crate) blobs: BTreeSet<Digest>,
    pub(crate) releases: Vec<(Build, Provenance)>,
    pub(crate) channels: BTreeMap<ChannelName, (ReleaseNumber, Seq)>,
}

impl Site {
    pub(crate) fn release(&self, number: ReleaseNumber) -> Option<&Build> {
        let place = usize::try_from(number.0).ok()?.checked_sub(1)?;
        self.releases.get(place).map(|(build, _)| build)
    }

    pub(crate) fn current(&self, channel: &ChannelName) -> Option<ChannelHead> {
        let (release, epoch) = *self.channels.get(channel)?;
        Some(ChannelHead { release, epoch, files: self.release(release)?.files.len() as u64 })
    }

    pub(crate) fn missing(&self, build: &Build) -> Vec<Digest> {
        let named: BTreeSet<Digest> =
            build.files.values().flat_map(|content| content.pieces().map(|piece| piece.digest)).collect();
        named.difference(&self.blobs).copied().collect()
    }

    pub(crate) fn changes(&self, build: &Build, channel: &ChannelName) -> BuildDiff {
        let none = BTreeMap::new();
        let old = self.channels.get(channel).and_then(|(release, _)| self.release(*release));
        let old = old.map_or(&none, |build| &build.files);
        let mut changes = BuildDiff::default();
        for (path, content) in &build.files {
            match old.get(path) {
                None => changes.added += 1,
                Some(known) if known == content => changes.unchanged += 1,
                Some(_) => changes.changed += 1,
            }
        }
        changes.removed = old.keys().filter(|path| !build.files.contains_key(*path)).count() as u64;
        changes
    }
}

impl Memory {
    /// Makes a release and points `channel` at it.
    pub(crate) fn release(
        &mut self,
        site: &SiteName,
        channel: &ChannelName,
        build: Build,
        provenance: Provenance,
    ) -> (ReleaseNumber, Seq) {
        self.epoch += 1;
        let epoch = Seq(self.epoch);
        let site = self.sites.get_mut(site).unwrap();
        site.releases.push((build, provenance));
        let release = ReleaseNumber(site.releases.len() as u64);
        site.channels.insert(channel.clone(), (release, epoch));
        (release, epoch)
    }
}
