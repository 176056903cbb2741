//! What an erasure removes: which contents, and which of their blobs nothing else of the site needs. Synchronous.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use verge_protocol::api::{EraseTarget, ErasedContent};
use verge_protocol::manifest::File;
use verge_protocol::{ChannelName, Content, Digest, Manifest, ReleaseNumber, SitePath};

use super::error::ErasureError;

/// The releases of a site, and what its channels serve or are about to.
#[derive(Default)]
pub(super) struct SiteReleases {
    pub(super) manifests: HashMap<Digest, Manifest>,
    pub(super) releases: Vec<(ReleaseNumber, Digest)>,
    pub(super) in_use: Vec<(ChannelName, Digest)>,
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

/// Plans an erasure. An error if there is nothing to erase, or a channel needs it.
pub(super) fn plan(target: &EraseTarget, site: &SiteReleases) -> Result<Plan, ErasureError> {
    let digests = erased_digests(target, site);
    if digests.is_empty() {
        return Err(ErasureError::Nothing(target.clone()));
    }
    let is_erased = |file: &File| digests.contains(&file.identity.digest());
    for (channel, id) in &site.in_use {
        let mut files = site.manifests.get(id).into_iter().flat_map(|manifest| &manifest.files);
        if let Some((path, _)) = files.find(|(_, file)| is_erased(file)) {
            return Err(ErasureError::InUse { channel: channel.clone(), path: path.clone() });
        }
    }
    let files = || site.manifests.values().flat_map(|manifest| manifest.files.values());
    let kept = files().filter(|file| !is_erased(file)).flat_map(File::contents);
    // The manifests are blobs of the same store.
    let kept: HashSet<Digest> =
        kept.flat_map(Content::slices).map(|slice| slice.digest).chain(site.manifests.keys().copied()).collect();
    let mut plan = Plan::default();
    for (number, id) in &site.releases {
        let Some(manifest) = site.manifests.get(id) else { continue };
        for (path, file) in manifest.files.iter().filter(|(_, file)| is_erased(file)) {
            plan.add(*number, path, file, &kept);
        }
    }
    Ok(plan)
}

/// The digests of the contents to be erased.
fn erased_digests(target: &EraseTarget, site: &SiteReleases) -> BTreeSet<Digest> {
    let digests = |manifest: &Manifest| manifest.files.values().map(|file| file.identity.digest()).collect::<Vec<_>>();
    match target {
        EraseTarget::Path(path) => {
            let files = site.manifests.values().filter_map(|manifest| manifest.files.get(path));
            files.map(|file| file.identity.digest()).collect()
        }
        EraseTarget::Release(number) => {
            let Some((_, id)) = site.releases.iter().find(|(known, _)| known == number) else { return BTreeSet::new() };
            // Another release with the same files is the same content, and keeps it.
            let is_other = |(other, manifest): &(ReleaseNumber, Digest)| other != number || manifest != id;
            let others = site.releases.iter().filter(|release| is_other(release));
            let others = others.filter_map(|(_, id)| site.manifests.get(id)).flat_map(digests);
            let others: HashSet<Digest> = others.collect();
            let own = site.manifests.get(id).map(digests).unwrap_or_default();
            own.into_iter().filter(|digest| !others.contains(digest)).collect()
        }
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

    fn add(&mut self, release: ReleaseNumber, path: &SitePath, file: &File, kept: &HashSet<Digest>) {
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
        let PlannedContent { content, own_blobs, encoded_blobs, shared_blobs } = planned;
        for slice in identity.slices() {
            let blobs = if kept.contains(&slice.digest) { &mut *shared_blobs } else { &mut *own_blobs };
            blobs.insert(slice.digest, slice.size);
        }
        let encodings = file.encodings.values().flat_map(Content::slices);
        encoded_blobs
            .extend(encodings.filter(|slice| !kept.contains(&slice.digest)).map(|slice| (slice.digest, slice.size)));
        if !content.paths.contains(path) {
            content.paths.push(path.clone());
        }
        if !content.releases.contains(&release) {
            content.releases.push(release);
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

    /// Releases numbered from 1, each of (path, text); the last one is live.
    fn site(releases: &[&[(&str, &str)]]) -> SiteReleases {
        let mut site = SiteReleases::default();
        for (number, files) in (1..).zip(releases) {
            let files = files.iter().map(|(path, text)| (path.parse().unwrap(), file(text))).collect();
            let fallback = Fallback::NotFound;
            let manifest = Manifest { site: "demo".parse().unwrap(), fallback, files, former_scripts: None };
            let id = Digest::of(&manifest.to_bytes());
            site.manifests.insert(id, manifest);
            site.releases.push((ReleaseNumber(number), id));
        }
        site.in_use = vec![(ChannelName::live(), site.releases.last().unwrap().1)];
        site
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
