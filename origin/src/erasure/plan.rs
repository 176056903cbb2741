//! What an erasure removes: which contents, and which of their blobs nothing else of the site needs. Synchronous.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::ops::Range;

use verge_protocol::api::{ContentInUse, EraseTarget, ErasedContent};
use verge_protocol::manifest::File;
use verge_protocol::{ChannelName, Content, Digest, Manifest, ReleaseNumber, SitePath};

use super::error::ErasureError;
use crate::store::{NewErased, SiteManifests};

/// The contents of the manifests of a site. Manifests may be added after an erasure was planned, and it be planned again.
#[derive(Debug, Default)]
pub(super) struct Index {
    /// The manifests, numbered in the order in which they were added.
    manifests: HashMap<Digest, u32>,
    contents: HashMap<Digest, IndexedContent>,
}

/// A content and which manifests have it.
#[derive(Debug)]
struct IndexedContent {
    size: u64,
    /// Its blobs, with their sizes.
    blobs: Vec<(Digest, u64)>,
    /// Those of its encodings. Manifests may have other ones of the same content.
    encoded_blobs: HashMap<Digest, u64>,
    /// Its encodings. The build may have them as files too.
    encodings: HashSet<Digest>,
    /// The paths at which manifests have it.
    paths: HashMap<SitePath, Numbers>,
}

/// Numbers of manifests, as ranges: a file that many releases have takes little more memory than one that a single release has.
#[derive(Debug, Default)]
struct Numbers(Vec<Range<u32>>);

/// The releases that have a manifest, and the channels that serve it or are about to.
#[derive(Debug, Default)]
struct Users {
    releases: BTreeSet<ReleaseNumber>,
    channels: BTreeSet<ChannelName>,
}

impl Index {
    /// The manifests of the site that are not in the index yet, each once: those of releases by number, then the others.
    pub(super) fn missing(&self, site: &SiteManifests) -> Vec<Digest> {
        let mut seen = HashSet::new();
        let is_missing = |id: &Digest| !self.manifests.contains_key(id) && seen.insert(*id);
        manifests(site).filter(is_missing).collect()
    }

    /// Adds a manifest, once.
    pub(super) fn add(&mut self, id: Digest, manifest: Manifest) {
        let number = u32::try_from(self.manifests.len()).expect("a site has fewer releases");
        self.manifests.insert(id, number);
        for (path, file) in manifest.files {
            self.contents
                .entry(file.identity.digest())
                .or_insert_with(|| IndexedContent::new(&file))
                .add(path, number, &file);
        }
    }

    /// Plans an erasure for a site of which no manifest is [missing](Index::missing). An error if a channel serves what is to be erased:
    /// of a path, if it does so there.
    pub(super) fn plan(&self, target: &EraseTarget, site: &SiteManifests) -> Result<Plan, ErasureError> {
        if let EraseTarget::Release(number) = *target
            && site.releases.iter().all(|(known, _)| *known != number)
        {
            return Err(ErasureError::UnknownRelease(number));
        }
        let by_manifest = self.users(site);
        let selection = self.selection(target, &by_manifest);
        let (mut selected, mut kept, mut elsewhere) = (Vec::new(), HashSet::new(), Vec::new());
        let mut in_use = BTreeSet::new();
        for (digest, content) in &self.contents {
            let uses: Vec<Use<'_>> = content.uses(&by_manifest).collect();
            if selection.contains(digest) {
                let is_there = |path: &SitePath| !matches!(target, EraseTarget::Path(target) if target != path);
                let (there, other): (BTreeSet<_>, BTreeSet<_>) =
                    in_channels(&uses).partition(|(_, path)| is_there(path));
                in_use.extend(there);
                if let Some((channel, path)) = other.into_iter().next() {
                    kept.extend(content.all_blobs());
                    elsewhere.push(ContentInUse { digest: *digest, size: content.size, channel, path });
                } else {
                    selected.push((*digest, content, uses));
                }
            } else if !uses.is_empty() && !site.erased.contains(digest) {
                kept.extend(content.all_blobs());
            }
        }
        if selected.is_empty() {
            in_use.extend(elsewhere.iter().map(|content| (content.channel.clone(), content.path.clone())));
        }
        if !in_use.is_empty() {
            return Err(ErasureError::InUse(in_use));
        }
        if selected.is_empty() {
            return Err(ErasureError::Nothing(target.clone()));
        }
        let planned = |(digest, content, uses): (Digest, &IndexedContent, Vec<Use<'_>>)| {
            (digest, PlannedContent::new(digest, content, target, &uses, &kept))
        };
        elsewhere.sort_by_key(|content| content.digest);
        Ok(Plan { contents: selected.into_iter().map(planned).collect(), in_use: elsewhere })
    }

    /// The contents that `target` names. Those of a path with the files that are encodings of them, as the build has them at other paths:
    /// the same text. A release has its own already.
    fn selection(&self, target: &EraseTarget, by_manifest: &[Users]) -> HashSet<Digest> {
        let is_selected =
            |content: &IndexedContent| content.is_selected(target, &content.uses(by_manifest).collect::<Vec<_>>());
        let mut selection: HashSet<Digest> =
            self.contents.iter().filter(|(_, content)| is_selected(content)).map(|(digest, _)| *digest).collect();
        if matches!(target, EraseTarget::Path(_)) {
            let has_uses = |digest: &&Digest| {
                self.contents.get(*digest).is_some_and(|content| content.uses(by_manifest).next().is_some())
            };
            let encodings = selection.iter().flat_map(|digest| &self.contents[digest].encodings).filter(has_uses);
            let encodings: Vec<Digest> = encodings.copied().collect();
            selection.extend(encodings);
        }
        selection
    }

    /// By the number of the manifest.
    fn users(&self, site: &SiteManifests) -> Vec<Users> {
        let mut users: Vec<Users> = self.manifests.iter().map(|_| Users::default()).collect();
        for (release, id) in &site.releases {
            if let Some(number) = self.manifests.get(id) {
                users[*number as usize].releases.insert(*release);
            }
        }
        for (channel, id) in &site.in_use {
            if let Some(number) = self.manifests.get(id) {
                users[*number as usize].channels.insert(channel.clone());
            }
        }
        users
    }
}

fn manifests(site: &SiteManifests) -> impl Iterator<Item = Digest> + '_ {
    site.releases.iter().map(|(_, id)| *id).chain(site.in_use.iter().map(|(_, id)| *id))
}

/// A path at which a manifest has a content, and the users of the manifest.
type Use<'a> = (&'a SitePath, &'a Users);

fn in_channels(uses: &[Use<'_>]) -> impl Iterator<Item = (ChannelName, SitePath)> {
    uses.iter().flat_map(|(path, users)| users.channels.iter().map(|channel| (channel.clone(), (*path).clone())))
}

impl Numbers {
    /// Adds a number that is greater than all others, or the greatest once more.
    fn push(&mut self, number: u32) {
        match self.0.last_mut() {
            Some(last) if last.end >= number => last.end = number + 1,
            _ => self.0.push(number..number + 1),
        }
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        self.0.iter().cloned().flatten()
    }
}

impl IndexedContent {
    fn new(file: &File) -> Self {
        let blobs = file.identity.slices().map(|slice| (slice.digest, slice.size)).collect();
        Self {
            size: file.identity.size(),
            blobs,
            encoded_blobs: HashMap::new(),
            encodings: HashSet::new(),
            paths: HashMap::new(),
        }
    }

    /// A manifest has it at `path`, as `file`.
    fn add(&mut self, path: SitePath, manifest: u32, file: &File) {
        let encodings = file.encodings.values().flat_map(Content::slices);
        self.encodings.extend(file.encodings.values().map(Content::digest));
        self.encoded_blobs.extend(encodings.map(|slice| (slice.digest, slice.size)));
        self.paths.entry(path).or_default().push(manifest);
    }

    /// Where the site has it. Manifests that the site does not have any more do not count.
    fn uses<'a>(&'a self, by_manifest: &'a [Users]) -> impl Iterator<Item = Use<'a>> {
        let of_path = move |(path, manifests): (&'a SitePath, &'a Numbers)| {
            manifests.iter().map(move |number| (path, &by_manifest[number as usize]))
        };
        let uses = self.paths.iter().flat_map(of_path);
        uses.filter(|(_, users)| !users.releases.is_empty() || !users.channels.is_empty())
    }

    /// Whether it is what `target` names. An empty content has nothing to erase.
    fn is_selected(&self, target: &EraseTarget, uses: &[Use<'_>]) -> bool {
        if self.size == 0 {
            return false;
        }
        match target {
            EraseTarget::Path(path) => uses.iter().any(|(at, _)| *at == path),
            // Another release with the same files is the same content, and keeps it.
            EraseTarget::Release(number) => {
                !uses.is_empty() && uses.iter().all(|(_, users)| users.releases.iter().eq([number]))
            }
        }
    }

    fn all_blobs(&self) -> impl Iterator<Item = Digest> + '_ {
        self.blobs.iter().map(|(digest, _)| *digest).chain(self.encoded_blobs.keys().copied())
    }
}

/// What is erased.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) contents: BTreeMap<Digest, PlannedContent>,
    /// By digest.
    pub(super) in_use: Vec<ContentInUse>,
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
    fn new(
        digest: Digest,
        content: &IndexedContent,
        target: &EraseTarget,
        uses: &[Use<'_>],
        kept: &HashSet<Digest>,
    ) -> Self {
        let releases: BTreeSet<ReleaseNumber> =
            uses.iter().flat_map(|(_, users)| users.releases.iter().copied()).collect();
        let paths: BTreeSet<SitePath> = uses.iter().map(|(path, _)| (*path).clone()).collect();
        let mut paths: Vec<SitePath> = paths.into_iter().collect();
        if let EraseTarget::Path(target) = target {
            paths.sort_by_key(|path| path != target);
        }
        let (shared_blobs, own_blobs) = content.blobs.iter().copied().partition(|(blob, _)| kept.contains(blob));
        let encoded_blobs = content.encoded_blobs.iter().filter(|(blob, _)| !kept.contains(blob));
        Self {
            content: ErasedContent { digest, size: content.size, paths, releases: releases.into_iter().collect() },
            own_blobs,
            encoded_blobs: encoded_blobs.map(|(blob, size)| (*blob, *size)).collect(),
            shared_blobs,
        }
    }

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
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use verge_protocol::{Coding, Fallback, HtmlPaths, Lifetime};

    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn file(text: &str) -> File {
        let cut = |text: String| Content::cut(&Bytes::from(text)).0;
        let encodings = [(Coding::Br, cut(format!("br {text}")))].into();
        let (lifetime, identity) = (Lifetime::Revalidate, cut(text.to_owned()));
        File {
            media_type: "text/plain".to_owned(),
            lifetime,
            fingerprinted: false,
            identity,
            content_encoding: None,
            encodings,
        }
    }

    #[test]
    fn numbers_that_follow_each_other_are_one_range() {
        let mut numbers = Numbers::default();
        for number in [0, 1, 1, 2, 5, 6, 9] {
            numbers.push(number);
        }
        assert_eq!(numbers.iter().collect::<Vec<_>>(), [0, 1, 2, 5, 6, 9]);
        assert_eq!(numbers.0.len(), 3);
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
            let manifest = Manifest {
                site: "demo".parse().unwrap(),
                fallback,
                files,
                former_scripts: None,
                html: HtmlPaths::Auto,
                rules: verge_protocol::Rules::default(),
            };
            let id = Digest::of(&manifest.to_bytes());
            site.manifests.insert(id, manifest);
            site.known.releases.push((ReleaseNumber(number), id));
        }
        site.known.in_use = vec![(ChannelName::live(), site.known.releases.last().unwrap().1)];
        site
    }

    impl Site {
        fn index(&self) -> Index {
            let mut index = Index::default();
            for id in index.missing(&self.known) {
                index.add(id, self.manifests[&id].clone());
            }
            index
        }
    }

    fn plan(target: &EraseTarget, site: &Site) -> Result<Plan, ErasureError> {
        site.index().plan(target, &site.known)
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
    fn content_that_channels_serve_at_the_path_or_that_they_serve_elsewhere_alone_is_refused() {
        let mut site = site(&[&[("a", "one")], &[("a", "two")], &[("b", "one"), ("c", "one")]]);
        assert_eq!(plan(&path("a"), &site).unwrap().contents.into_keys().collect::<Vec<_>>(), [digest("two")]);
        let refused = |site: &Site| plan(&path("a"), site).unwrap_err().to_string();
        let [(_, one), (_, two), _] = site.known.releases[..] else { panic!("three releases") };
        site.known.in_use.push(("pr-1".parse().unwrap(), two));
        assert_eq!(refused(&site), "channel pr-1 serves these bytes at `a`");
        for number in 2..14 {
            site.known.in_use.push((format!("pr-{number}").parse().unwrap(), one));
        }
        let error = refused(&site);
        assert!(error.starts_with("13 channels serve these bytes: pr-1 at `a`, pr-10 at `a`, "), "{error}");
        assert!(error.ends_with(", pr-6 at `a`, and 3 more"), "{error}");
        let site = self::site(&[&[("a", "one")], &[("b", "one"), ("c", "one")]]);
        assert_eq!(refused(&site), "channel live serves these bytes at `b`");
        assert!(matches!(plan(&path("nowhere"), &site), Err(ErasureError::Nothing(_))));
    }

    #[test]
    fn content_that_a_channel_serves_elsewhere_stays_with_its_blobs() {
        // The encoding of the content that is erased is the content that stays.
        let site = site(&[&[("a", "br two")], &[("a", "two")], &[("b", "br two")]]);
        let plan = plan(&path("a"), &site).unwrap();
        let two = &plan.contents[&digest("two")];
        assert_eq!((plan.contents.len(), two.own_blobs.len(), two.encoded_blobs.len()), (1, 1, 0));
        let (channel, path) = (ChannelName::live(), "b".parse().unwrap());
        assert_eq!(plan.in_use, [ContentInUse { digest: digest("br two"), size: 6, channel, path }]);
    }

    #[test]
    fn empty_content_is_not_erased_and_refuses_nothing() {
        let site = site(&[&[("a", "secret"), ("b", "")], &[("a", "")]]);
        assert_eq!(plan(&path("a"), &site).unwrap().contents.into_keys().collect::<Vec<_>>(), [digest("secret")]);
        assert_eq!(plan(&path("b"), &site).unwrap_err().to_string(), "no release has a file that is not empty at `b`");
    }

    #[test]
    fn encoded_copies_that_the_build_has_of_a_file_are_erased_with_it() {
        let secret = [("keys.json", "secret"), ("keys.json.br", "br secret"), ("other.br", "br other")];
        let site = site(&[&secret, &[("index.html", "x")]]);
        let plan = plan(&path("keys.json"), &site).unwrap();
        assert_eq!(
            plan.contents.keys().copied().collect::<BTreeSet<_>>(),
            [digest("secret"), digest("br secret")].into()
        );
        let copy = &plan.contents[&digest("br secret")];
        assert_eq!(copy.content.paths.iter().map(SitePath::as_str).collect::<Vec<_>>(), ["keys.json.br"]);
        assert_eq!((copy.own_blobs.len(), copy.shared_blobs.len()), (1, 0));
        // One that a channel serves is named, and stays.
        let site = self::site(&[&secret, &[("keys.json.br", "br secret")]]);
        let plan = self::plan(&path("keys.json"), &site).unwrap();
        assert_eq!(plan.contents.into_keys().collect::<Vec<_>>(), [digest("secret")]);
        let (channel, path) = (ChannelName::live(), "keys.json.br".parse().unwrap());
        assert_eq!(plan.in_use, [ContentInUse { digest: digest("br secret"), size: 9, channel, path }]);
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
        assert!(matches!(plan(3), Err(ErasureError::UnknownRelease(_))));
    }

    #[test]
    fn blob_that_only_erased_contents_share_is_erased_with_the_last_of_them() {
        // The encoding of both files is the same.
        let mut site = site(&[&[("a", "one"), ("b", "two")], &[("c", "x")]]);
        let manifest = site.manifests.get_mut(&site.known.releases[0].1).unwrap();
        let shared = manifest.files["a"].encodings.clone();
        manifest.files.get_mut("b").unwrap().encodings = shared;
        let encoded_blobs =
            |site: &Site, target, text| plan(&path(target), site).unwrap().contents[&digest(text)].encoded_blobs.len();
        assert_eq!(encoded_blobs(&site, "a", "one"), 0);
        site.known.erased.insert(digest("one"));
        assert_eq!(encoded_blobs(&site, "b", "two"), 1);
    }

    #[test]
    fn erasure_that_is_planned_again_reads_only_manifests_that_are_new() {
        let mut site = site(&[&[("a", "one")], &[("b", "x")]]);
        let mut index = site.index();
        let next = self::site(&[&[("a", "two")], &[("b", "y")]]);
        let [(_, removed), (_, live)] = next.known.releases[..] else { panic!("two releases") };
        site.known.releases.extend([(ReleaseNumber(3), removed), (ReleaseNumber(4), live)]);
        site.known.in_use = next.known.in_use.clone();
        assert_eq!(index.missing(&site.known), [removed, live]);
        for id in [removed, live] {
            index.add(id, next.manifests[&id].clone());
        }
        assert_eq!(index.missing(&site.known), []);
        let contents = index.plan(&path("a"), &site.known).unwrap().contents;
        assert_eq!(contents.into_keys().collect::<BTreeSet<_>>(), [digest("one"), digest("two")].into());
        assert!(index.plan(&path("b"), &site.known).is_err());
        // The release that was live may be a preview's, which was deleted.
        site.known.releases.retain(|(number, _)| number.0 < 3);
        site.known.in_use.clear();
        let contents = index.plan(&path("b"), &site.known).unwrap().contents;
        assert_eq!(contents.into_keys().collect::<Vec<_>>(), [digest("x")]);
    }
}
