//! The releases that exist, according to the feed.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use verge_protocol::host::ReleaseLabel;
use verge_protocol::state::Key;
use verge_protocol::{Digest, ReleaseNumber, SiteName};

/// A release that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownRelease {
    pub(crate) number: ReleaseNumber,
    pub(crate) manifest: Digest,
}

/// A release as it is saved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct ReleaseRecord {
    site: SiteName,
    release: ReleaseNumber,
    manifest: Digest,
}

/// Every release of every site. Some 100 bytes for each: there may be ten thousand.
#[derive(Debug, Default)]
pub(super) struct KnownReleases {
    sites: HashMap<SiteName, SiteReleases>,
    /// Grows with every change.
    pub(super) version: u64,
}

#[derive(Debug, Default)]
struct SiteReleases {
    manifests: BTreeMap<ReleaseNumber, Digest>,
    /// By the first 64 bits of the manifest. Of releases with the same manifest, the last one.
    by_prefix: HashMap<u64, ReleaseNumber>,
}

impl KnownReleases {
    /// The release with this label.
    pub(super) fn find(&self, label: &ReleaseLabel) -> Option<KnownRelease> {
        let site = self.sites.get(&label.site)?;
        let number = *site.by_prefix.get(&label.prefix)?;
        Some(KnownRelease { number, manifest: *site.manifests.get(&number)? })
    }

    /// Adds a release, or replaces what was known of it.
    pub(super) fn add(&mut self, site: SiteName, number: ReleaseNumber, manifest: Digest) {
        if self.sites.get(&site).and_then(|site| site.manifests.get(&number)) == Some(&manifest) {
            return;
        }
        self.remove(&site, number);
        self.version += 1;
        let prefix = ReleaseLabel::new(site.clone(), manifest).prefix;
        let site = self.sites.entry(site).or_default();
        site.manifests.insert(number, manifest);
        let last = site.by_prefix.entry(prefix).or_insert(number);
        *last = number.max(*last);
    }

    /// Removes a release, if it is known.
    pub(super) fn remove(&mut self, name: &SiteName, number: ReleaseNumber) {
        let Some(site) = self.sites.get_mut(name) else { return };
        let Some(manifest) = site.manifests.remove(&number) else { return };
        self.version += 1;
        let prefix = |manifest: Digest| ReleaseLabel::new(name.clone(), manifest).prefix;
        let removed = prefix(manifest);
        if site.by_prefix.get(&removed) == Some(&number) {
            let mut others = site.manifests.iter().rev();
            match others.find(|(_, other)| prefix(**other) == removed) {
                Some((other, _)) => site.by_prefix.insert(removed, *other),
                None => site.by_prefix.remove(&removed),
            };
        }
        if site.manifests.is_empty() {
            self.sites.remove(name);
        }
    }

    /// The key of every release in the feed.
    pub(super) fn keys(&self) -> Vec<String> {
        self.all().map(|(site, number, _)| key(site, number)).collect()
    }

    /// Every release, to be saved.
    pub(super) fn records(&self) -> Vec<ReleaseRecord> {
        let record =
            |(site, release, manifest): (&SiteName, _, _)| ReleaseRecord { site: site.clone(), release, manifest };
        self.all().map(record).collect()
    }

    /// Adds a saved release.
    pub(super) fn restore(&mut self, ReleaseRecord { site, release, manifest }: ReleaseRecord) {
        self.add(site, release, manifest);
    }

    fn all(&self) -> impl Iterator<Item = (&SiteName, ReleaseNumber, Digest)> {
        let releases = |(site, releases): (_, &SiteReleases)| {
            releases.manifests.iter().map(move |(number, manifest)| (site, *number, *manifest)).collect::<Vec<_>>()
        };
        self.sites.iter().flat_map(releases)
    }

    /// Removes every release whose key in the feed is not one of `keys`.
    pub(super) fn retain(&mut self, keys: &BTreeSet<&str>) {
        let all = self.all().map(|(site, number, _)| (site.clone(), number));
        let gone: Vec<(SiteName, ReleaseNumber)> =
            all.filter(|(site, number)| !keys.contains(&*key(site, *number))).collect();
        for (site, number) in gone {
            self.remove(&site, number);
        }
    }
}

fn key(site: &SiteName, number: ReleaseNumber) -> String {
    Key::Release(site.clone(), number).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(name: &str) -> SiteName {
        name.parse().unwrap()
    }

    fn manifest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    /// The number of the release of a site with this manifest.
    fn found(releases: &KnownReleases, name: &str, text: &str) -> Option<u64> {
        let found = releases.find(&ReleaseLabel::new(site(name), manifest(text)))?;
        assert_eq!(found.manifest, manifest(text));
        Some(found.number.0)
    }

    #[test]
    fn release_is_found_by_its_site_and_manifest_until_it_is_removed() {
        let mut releases = KnownReleases::default();
        releases.add(site("a"), ReleaseNumber(1), manifest("one"));
        releases.add(site("a"), ReleaseNumber(2), manifest("two"));
        releases.add(site("b"), ReleaseNumber(1), manifest("other"));
        assert_eq!([found(&releases, "a", "one"), found(&releases, "a", "two")], [Some(1), Some(2)]);
        assert_eq!([found(&releases, "b", "one"), found(&releases, "c", "one")], [None, None]);
        releases.remove(&site("a"), ReleaseNumber(1));
        assert_eq!([found(&releases, "a", "one"), found(&releases, "a", "two")], [None, Some(2)]);
        releases.retain(&BTreeSet::from(["release/b/v1"]));
        assert_eq!([found(&releases, "a", "two"), found(&releases, "b", "other")], [None, Some(1)]);
        assert_eq!((releases.sites.len(), releases.keys()), (1, vec!["release/b/v1".to_owned()]));
    }

    #[test]
    fn releases_with_the_same_manifest_share_a_host_until_all_are_removed() {
        let mut releases = KnownReleases::default();
        for number in [3, 1, 2] {
            releases.add(site("a"), ReleaseNumber(number), manifest("same"));
        }
        assert_eq!(found(&releases, "a", "same"), Some(3));
        releases.remove(&site("a"), ReleaseNumber(3));
        assert_eq!(found(&releases, "a", "same"), Some(2));
        releases.add(site("a"), ReleaseNumber(2), manifest("new"));
        assert_eq!([found(&releases, "a", "same"), found(&releases, "a", "new")], [Some(1), Some(2)]);
        releases.remove(&site("a"), ReleaseNumber(1));
        assert_eq!(found(&releases, "a", "same"), None);
    }

    #[test]
    fn version_grows_with_changes_only_and_records_restore_the_same_releases() {
        let mut releases = KnownReleases::default();
        releases.add(site("a"), ReleaseNumber(1), manifest("one"));
        releases.add(site("b"), ReleaseNumber(1), manifest("one"));
        let version = releases.version;
        releases.add(site("a"), ReleaseNumber(1), manifest("one"));
        releases.remove(&site("a"), ReleaseNumber(2));
        releases.retain(&BTreeSet::from(["release/a/v1", "release/b/v1"]));
        assert_eq!(releases.version, version);
        let mut restored = KnownReleases::default();
        releases.records().into_iter().for_each(|record| restored.restore(record));
        let sorted = |releases: &KnownReleases| BTreeSet::from_iter(releases.records());
        assert_eq!(sorted(&restored), sorted(&releases));
        releases.remove(&site("a"), ReleaseNumber(1));
        assert!(releases.version > version);
    }
}
