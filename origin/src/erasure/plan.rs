//! What an erasure removes: which contents, and which of their blobs nothing else of the site needs. Synchronous.
//!
//! The manifests of the site are given twice, one at a time, in the order of [`known_manifests`]: once to a [`Selection`], then to a
//! [`Planner`].

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use verge_protocol::api::{EraseTarget, ErasedContent};
use verge_protocol::manifest::File;
use verge_protocol::{ChannelName, Content, Digest, Manifest, ReleaseNumber, SitePath};

use super::error::ErasureError;
use crate::store::{NewErased, SiteManifests};

/// A manifest, the releases that have it, and the channels that serve it or are about to.
#[derive(Debug, Clone)]
pub(super) struct KnownManifest {
    pub(super) id: Digest,
    releases: Vec<ReleaseNumber>,
    channels: Vec<ChannelName>,
}

/// The manifests of a site, each once: that of the release to be erased first, then by their first release.
pub(super) fn known_manifests(target: &EraseTarget, site: &SiteManifests) -> Vec<KnownManifest> {
    let mut manifests: Vec<KnownManifest> = Vec::new();
    let mut indices = HashMap::new();
    let mut index = |id: Digest, manifests: &mut Vec<KnownManifest>| {
        *indices.entry(id).or_insert_with(|| {
            manifests.push(KnownManifest { id, releases: Vec::new(), channels: Vec::new() });
            manifests.len() - 1
        })
    };
    for (number, id) in &site.releases {
        let index = index(*id, &mut manifests);
        manifests[index].releases.push(*number);
    }
    for (channel, id) in &site.in_use {
        let index = index(*id, &mut manifests);
        manifests[index].channels.push(channel.clone());
    }
    if let EraseTarget::Release(number) = target {
        manifests.sort_by_key(|known| !known.releases.contains(number));
    }
    manifests
}

/// The contents to be erased.
pub(super) struct Selection {
    target: EraseTarget,
    contents: BTreeSet<Digest>,
}

impl Selection {
    pub(super) fn new(target: EraseTarget) -> Self {
        Self { target, contents: BTreeSet::new() }
    }

    /// Takes the next manifest.
    pub(super) fn add(&mut self, known: &KnownManifest, manifest: &Manifest) {
        let digests = manifest.files.values().map(|file| file.identity.digest());
        match &self.target {
            EraseTarget::Path(path) => {
                self.contents.extend(manifest.files.get(path).map(|file| file.identity.digest()));
            }
            // Another release with the same files is the same content, and keeps it.
            EraseTarget::Release(number) if known.releases == [*number] => self.contents.extend(digests),
            EraseTarget::Release(_) => {
                for digest in digests {
                    self.contents.remove(&digest);
                }
            }
        }
    }

    /// An error if there is nothing to erase.
    pub(super) fn finish(self) -> Result<Planner, ErasureError> {
        if self.contents.is_empty() {
            return Err(ErasureError::Nothing(self.target));
        }
        Ok(Planner { erased: self.contents, kept: HashSet::new(), plan: Plan::default() })
    }
}

/// Plans an erasure.
pub(super) struct Planner {
    erased: BTreeSet<Digest>,
    /// The blobs of all other contents of the site.
    kept: HashSet<Digest>,
    plan: Plan,
}

impl Planner {
    /// Takes the next manifest. An error if a channel needs what is to be erased.
    pub(super) fn add(&mut self, known: &KnownManifest, manifest: &Manifest) -> Result<(), ErasureError> {
        for (path, file) in &manifest.files {
            if !self.erased.contains(&file.identity.digest()) {
                self.kept.extend(file.contents().flat_map(Content::slices).map(|slice| slice.digest));
            } else if let Some(channel) = known.channels.first() {
                return Err(ErasureError::InUse { channel: channel.clone(), path: path.clone() });
            } else {
                self.plan.add(&known.releases, path, file);
            }
        }
        Ok(())
    }

    pub(super) fn finish(mut self) -> Plan {
        let is_kept = |digest: &Digest| self.kept.contains(digest);
        for planned in self.plan.contents.values_mut() {
            planned.shared_blobs = planned.own_blobs.extract_if(.., |digest, _| is_kept(digest)).collect();
            planned.encoded_blobs.retain(|digest, _| !is_kept(digest));
        }
        self.plan
    }
}

/// What is erased.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) contents: BTreeMap<Digest, PlannedContent>,
}

/// A content to be erased.
#[derive(Debug)]
pub(super) struct PlannedContent {
    pub(super) content: ErasedContent,
    /// Its blobs, and their sizes, that no other content of the site has.
    pub(super) own_blobs: BTreeMap<Digest, u64>,
    /// Those of its encodings, likewise.
    pub(super) encoded_blobs: BTreeMap<Digest, u64>,
    /// The blobs that other contents of the site have too.
    pub(super) shared_blobs: BTreeMap<Digest, u64>,
}

impl PlannedContent {
    fn blobs(&self) -> impl Iterator<Item = (Digest, u64)> + '_ {
        self.own_blobs.iter().chain(&self.encoded_blobs).map(|(digest, size)| (*digest, *size))
    }
}

impl Plan {
    /// Bytes of all blobs.
    pub(super) fn bytes(&self) -> u64 {
        let blobs = self.contents.values().flat_map(|planned| {
            planned.blobs().chain(planned.shared_blobs.iter().map(|(digest, size)| (*digest, *size)))
        });
        blobs.collect::<BTreeMap<Digest, u64>>().values().sum()
    }

    /// Bytes of those blobs that are in `removed`.
    pub(super) fn bytes_of(&self, removed: &HashSet<Digest>) -> u64 {
        let blobs = self.contents.values().flat_map(PlannedContent::blobs);
        let blobs: BTreeMap<Digest, u64> = blobs.filter(|(digest, _)| removed.contains(digest)).collect();
        blobs.values().sum()
    }

    /// The contents, for the database.
    pub(super) fn to_erased(&self) -> Vec<NewErased> {
        let digests = |blobs: &BTreeMap<Digest, u64>| blobs.keys().copied().collect::<Vec<_>>();
        let erased = |(digest, planned): (&Digest, &PlannedContent)| NewErased {
            digest: *digest,
            path: planned.content.paths[0].clone(),
            blobs: planned.own_blobs.keys().chain(planned.shared_blobs.keys()).copied().collect(),
            own_blobs: digests(&planned.own_blobs),
            encoded_blobs: digests(&planned.encoded_blobs),
        };
        self.contents.iter().map(erased).collect()
    }

    fn add(&mut self, releases: &[ReleaseNumber], path: &SitePath, file: &File) {
        let identity = &file.identity;
        let planned = self.contents.entry(identity.digest()).or_insert_with(|| PlannedContent {
            content: ErasedContent {
                digest: identity.digest(),
                size: identity.size(),
                paths: Vec::new(),
                releases: Vec::new(),
            },
            own_blobs: BTreeMap::new(),
            encoded_blobs: BTreeMap::new(),
            shared_blobs: BTreeMap::new(),
        });
        let PlannedContent { content, own_blobs, encoded_blobs, .. } = planned;
        own_blobs.extend(identity.slices().map(|slice| (slice.digest, slice.size)));
        let encodings = file.encodings.values().flat_map(Content::slices);
        encoded_blobs.extend(encodings.map(|slice| (slice.digest, slice.size)));
        if !content.paths.contains(path) {
            content.paths.push(path.clone());
        }
        for release in releases {
            if !content.releases.contains(release) {
                content.releases.push(*release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use verge_protocol::{Coding, Fallback, Lifetime};

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn file(text: &str) -> File {
        let cut = |text: String| Content::cut(&Bytes::from(text)).0;
        let encodings = [(Coding::Br, cut(format!("br {text}")))].into();
        let (lifetime, identity) = (Lifetime::Revalidate, cut(text.to_owned()));
        File { media_type: "text/plain".to_owned(), lifetime, fingerprinted: false, identity, encodings }
    }

    /// A site and its manifests.
    #[derive(Default)]
    struct Site {
        known: SiteManifests,
        manifests: HashMap<Digest, Manifest>,
    }

    /// Releases numbered from 1, each of (path, text); the last one is live.
    fn site(releases: &[&[(&str, &str)]]) -> Site {
        let mut site = Site::default();
        for (number, files) in (1..).zip(releases) {
            let files = files.iter().map(|(path, text)| (path.parse().unwrap(), file(text))).collect();
            let fallback = Fallback::NotFound;
            let manifest = Manifest { site: "demo".parse().unwrap(), fallback, files, former_scripts: None };
            let id = Digest::of(&manifest.to_bytes());
            site.manifests.insert(id, manifest);
            site.known.releases.push((ReleaseNumber(number), id));
        }
        site.known.in_use = vec![(ChannelName::live(), site.known.releases.last().unwrap().1)];
        site
    }

    fn plan(target: &EraseTarget, site: &Site) -> Result<Plan, ErasureError> {
        let known = known_manifests(target, &site.known);
        let mut selection = Selection::new(target.clone());
        for known in &known {
            selection.add(known, &site.manifests[&known.id]);
        }
        let mut planner = selection.finish()?;
        known.iter().try_for_each(|known| planner.add(known, &site.manifests[&known.id]))?;
        Ok(planner.finish())
    }

    fn path(path: &str) -> EraseTarget {
        EraseTarget::Path(path.parse().unwrap())
    }

    #[test]
    fn all_bytes_that_a_path_ever_had_are_erased_with_their_encodings_wherever_they_are() {
        let site = site(&[&[("a", "one"), ("b", "x")], &[("a", "two"), ("copy", "one")], &[("b", "x")]]);
        let plan = plan(&path("a"), &site).unwrap();
        assert_eq!(plan.contents.keys().copied().collect::<BTreeSet<_>>(), [digest("one"), digest("two")].into());
        let one = &plan.contents[&digest("one")];
        assert_eq!(one.content.paths.iter().map(SitePath::as_str).collect::<Vec<_>>(), ["a", "copy"]);
        assert_eq!(one.content.releases, [ReleaseNumber(1), ReleaseNumber(2)]);
        assert_eq!((one.own_blobs.len(), one.encoded_blobs.len(), one.shared_blobs.len()), (1, 1, 0));
        assert!(one.encoded_blobs.contains_key(&digest("br one")));
    }

    #[test]
    fn content_that_a_channel_needs_is_refused_with_its_path() {
        let site = site(&[&[("a", "one")], &[("elsewhere", "one")]]);
        let error = plan(&path("a"), &site).unwrap_err();
        assert!(matches!(error, ErasureError::InUse { path, .. } if path.as_str() == "elsewhere"));
        assert!(matches!(plan(&path("nowhere"), &site), Err(ErasureError::Nothing(_))));
    }

    #[test]
    fn blob_that_another_file_has_stays() {
        // The encoding of one file is the other file.
        let site = site(&[&[("a", "one")], &[("b", "br one")]]);
        let plan = plan(&path("a"), &site).unwrap();
        let one = &plan.contents[&digest("one")];
        assert_eq!((one.own_blobs.len(), one.encoded_blobs.len()), (1, 0));
    }

    #[test]
    fn release_is_erased_as_far_as_no_other_has_its_files() {
        let site = site(&[&[("a", "one"), ("b", "shared")], &[("b", "shared")]]);
        let plan = |number| plan(&EraseTarget::Release(ReleaseNumber(number)), &site);
        assert_eq!(plan(1).unwrap().contents.into_keys().collect::<Vec<_>>(), [digest("one")]);
        assert!(matches!(plan(2), Err(ErasureError::Nothing(_))));
        assert!(matches!(plan(3), Err(ErasureError::Nothing(_))));
    }
}
