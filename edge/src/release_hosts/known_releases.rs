//! The releases that exist, as the feed tells.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use verge_protocol::host::ReleaseLabel;
use verge_protocol::{Digest, ReleaseNumber, SiteName};

/// A release that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KnownRelease {
    pub(crate) number: ReleaseNumber,
    pub(crate) manifest: Digest,
}

/// Every release of every site. Some 100 bytes for each: there may be ten thousand.
#[derive(Debug, Default)]
pub(super) struct KnownReleases(HashMap<SiteName, SiteReleases>);

#[derive(Debug, Default)]
struct SiteReleases {
    manifests: BTreeMap<ReleaseNumber, Digest>,
    /// By the first 64 bits of the manifest. Of releases with the same manifest, the last one.
    by_prefix: HashMap<u64, ReleaseNumber>,
}

impl KnownReleases {
    /// The release with this label.
    pub(super) fn find(&self, label: &ReleaseLabel) -> Option<KnownRelease> {
        let site = self.0.get(&label.site)?;
        let number = *site.by_prefix.get(&label.prefix)?;
        Some(KnownRelease { number, manifest: *site.manifests.get(&number)? })
    }

    /// Adds a release, or replaces what was known of it.
    pub(super) fn add(&mut self, site: SiteName, number: ReleaseNumber, manifest: Digest) {
        self.remove(&site, number);
        let prefix = ReleaseLabel::new(site.clone(), manifest).prefix;
        let site = self.0.entry(site).or_default();
        site.manifests.insert(number, manifest);
        let last = site.by_prefix.entry(prefix).or_insert(number);
        *last = number.max(*last);
    }

    /// Removes a release, if it is known.
    pub(super) fn remove(&mut self, name: &SiteName, number: ReleaseNumber) {
        let Some(site) = self.0.get_mut(name) else { return };
        let Some(manifest) = site.manifests.remove(&number) else { return };
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
            self.0.remove(name);
        }
    }

    /// Removes every release whose key in the feed is not one of `keys`.
    pub(super) fn retain(&mut self, keys: &BTreeSet<&str>) {
        let is_gone = |site: &SiteName, number: &ReleaseNumber| !keys.contains(&*format!("release/{site}/{number}"));
        let all =
            self.0.iter().flat_map(|(site, releases)| releases.manifests.keys().map(move |number| (site, number)));
        let gone: Vec<(SiteName, ReleaseNumber)> =
            all.filter(|(site, number)| is_gone(site, number)).map(|(site, number)| (site.clone(), *number)).collect();
        for (site, number) in gone {
            self.remove(&site, number);
        }
    }
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
        assert_eq!(releases.0.len(), 1);
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
}
