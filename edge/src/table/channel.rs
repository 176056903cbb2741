//! A channel as it is served: its release, and the files it inherits from others.

use std::sync::Arc;

use http::HeaderValue;
use verge_protocol::host::HostLabel;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Lifetime, ReleaseNumber};

use super::file_addresses::addresses;
use super::resource::Resource;
use super::resources::Resources;
use crate::metrics::Traffic;

/// One channel of one site.
pub(crate) struct Channel {
    label: HostLabel,
    release: HeaderValue,
    own: Arc<Resources>,
    inherited: InheritedReleases,
    traffic: Arc<Traffic>,
}

/// The releases that a channel inherits from, the most recent first.
#[derive(Default)]
pub(crate) struct InheritedReleases {
    /// Those that it is about to serve.
    pub(crate) newer: Vec<InheritedRelease>,
    /// Those that it served before.
    pub(crate) older: Vec<InheritedRelease>,
}

/// A release that a channel inherits from.
#[derive(Clone)]
pub(crate) struct InheritedRelease {
    pub(crate) resources: Arc<Resources>,
    /// Paths that are not inherited from it, since they were purged.
    pub(crate) without: Vec<PurgeScope>,
    /// The manifest of a more recent release has not arrived, which may have replaced files: only those are inherited that are immutable,
    /// since other bytes under a name that contains their hash beyond doubt are most unlikely, and browsers would keep these.
    pub(crate) only_immutable: bool,
}

impl Channel {
    /// A channel that serves `own`.
    pub(crate) fn new(
        label: HostLabel,
        release: ReleaseNumber,
        own: Arc<Resources>,
        inherited: InheritedReleases,
        traffic: Arc<Traffic>,
    ) -> Self {
        let release = HeaderValue::from_str(&release.to_string()).expect("`v` and digits are a header value");
        Self { label, release, own, inherited, traffic }
    }

    pub(crate) fn label(&self) -> &HostLabel {
        &self.label
    }

    /// The value of the `Verge-Release` header.
    pub(crate) fn release(&self) -> &HeaderValue {
        &self.release
    }

    /// The resources of its own release.
    pub(crate) fn own(&self) -> &Arc<Resources> {
        &self.own
    }

    /// The inherited resource at exactly this path. The most recent release that has the path decides: if its file may not be
    /// inherited, nothing is, since an older file may have been replaced because it must not be served any more.
    pub(crate) fn inherited(&self, path: &str) -> Option<&Arc<Resource>> {
        let has_path = |release: &&InheritedRelease| release.resources.get(path).is_some();
        let release = self.inherited.iter().find(has_path)?;
        let may_inherit = |resource: &&Arc<Resource>| {
            resource.is_inheritable() && (!release.only_immutable || resource.lifetime() == Lifetime::Immutable)
        };
        release.get(path).filter(may_inherit).filter(|_| !self.would_lose_password(release, path))
    }

    /// Whether a file had a password in a release, under any of its addresses, and has none in its own.
    fn would_lose_password(&self, release: &InheritedRelease, path: &str) -> bool {
        if !release.resources.rules().has_passwords() {
            return false;
        }
        let addresses = addresses(path);
        // Other hosts than that of `live` are previews.
        let is_preview = !self.label.channel.is_live();
        let has_password = |resources: &Resources| {
            resources.rules().password_of(addresses.iter().map(String::as_str), is_preview).is_some()
        };
        has_password(&release.resources) && !has_password(&self.own)
    }

    /// The file at exactly this path: its own, or an inherited one.
    pub(crate) fn file(&self, path: &str) -> Option<&Arc<Resource>> {
        self.own.get(path).or_else(|| self.inherited(path))
    }

    /// The releases that it inherits from, the most recent first.
    #[cfg(test)]
    pub(crate) fn inherited_releases(&self) -> impl Iterator<Item = &Arc<Resources>> {
        self.inherited.iter().map(|release| &release.resources)
    }

    /// Whether only earlier releases had a script at this path, or the site has named it as a legacy service worker. A fingerprinted
    /// script of an earlier release is none: it is inherited as it is.
    pub(crate) fn is_former_script(&self, path: &str) -> bool {
        // After a rollback, the release does not know the scripts of later ones.
        let had_script = |InheritedRelease { resources: earlier, .. }: &InheritedRelease| {
            earlier.is_former_script(path) || earlier.get(path).is_some_and(|file| file.is_unhashed_script())
        };
        let own = &self.own;
        own.is_former_script(path) || (own.get(path).is_none() && self.inherited.older.iter().any(had_script))
    }

    /// The counters of its site.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}

impl InheritedReleases {
    fn iter(&self) -> impl Iterator<Item = &InheritedRelease> {
        self.newer.iter().chain(&self.older)
    }

    /// The releases, the most recent first.
    pub(crate) fn into_releases(self) -> impl Iterator<Item = InheritedRelease> {
        self.newer.into_iter().chain(self.older)
    }
}

impl InheritedRelease {
    /// A release of which nothing was purged.
    pub(crate) fn whole(resources: Arc<Resources>) -> Self {
        Self { resources, without: Vec::new(), only_immutable: false }
    }

    /// The resource at exactly this path, unless the path was purged.
    pub(crate) fn get(&self, path: &str) -> Option<&Arc<Resource>> {
        self.resources.get(path).filter(|_| !self.is_purged(path))
    }

    /// The resources at the paths of a scope, except those at paths that were purged.
    pub(crate) fn within<'a>(&'a self, scope: &'a PurgeScope) -> impl Iterator<Item = &'a Arc<Resource>> {
        let one = if let PurgeScope::Path(path) = scope { Some(self.get(path.as_str())) } else { None };
        let all = one.is_none().then(|| self.resources.iter());
        let covered = all.into_iter().flatten().filter(|(path, _)| scope.covers(path) && !self.is_purged(path));
        one.into_iter().flatten().chain(covered.map(|(_, resource)| resource))
    }

    fn is_purged(&self, path: &str) -> bool {
        self.without.iter().any(|scope| scope.covers(path))
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::rules::PasswordRule;

    use super::*;
    use crate::test_support::{manifest, resources, traffic};

    /// A password of a pattern, on previews only or everywhere.
    fn protected(pattern: &str, only_previews: bool) -> Vec<PasswordRule> {
        vec![PasswordRule { pattern: pattern.parse().unwrap(), only_previews, users: Vec::new() }]
    }

    /// Whether `label` inherits `path` from a release with the first password to one with the second.
    fn is_inherited(label: &str, path: &str, earlier: Vec<PasswordRule>, own: Vec<PasswordRule>) -> bool {
        let release = |paths: &[&str], passwords: Vec<PasswordRule>| {
            let mut manifest = manifest(paths, "", Lifetime::Immutable);
            manifest.rules.passwords = passwords;
            resources(manifest)
        };
        let older = vec![InheritedRelease::whole(release(&[path], earlier))];
        let inherited = InheritedReleases { newer: Vec::new(), older };
        let own = release(&["index.html"], own);
        Channel::new(label.parse().unwrap(), ReleaseNumber(2), own, inherited, traffic()).inherited(path).is_some()
    }

    fn none() -> Vec<PasswordRule> {
        Vec::new()
    }

    #[test]
    fn file_that_would_lose_its_password_on_this_channel_is_not_inherited() {
        let path = "assets/a-0b1c2d3e.js";
        for (label, earlier, own, expected) in [
            ("demo", none(), none(), true),
            ("demo", protected("/*", false), none(), false),
            ("demo", protected("/*", false), protected("/*", true), false),
            ("demo", protected("/*", true), none(), true),
            ("demo", protected("/*", false), protected("/*", false), true),
            ("pr-1--demo", protected("/*", true), none(), false),
            ("pr-1--demo", protected("/*", false), none(), false),
            ("pr-1--demo", protected("/*", false), protected("/*", true), true),
            ("pr-1--demo", protected("/*", true), protected("/b", true), false),
        ] {
            assert_eq!(
                is_inherited(label, path, earlier.clone(), own.clone()),
                expected,
                "{label} {earlier:?} {own:?}"
            );
        }
    }

    #[test]
    fn password_of_any_address_of_a_file_keeps_it_from_being_inherited() {
        for (path, pattern) in [("a-0b1c2d3e.js.GZ", "/*.js"), ("a-0b1c2d3e.css.br", "/a-0b1c2d3e.css")] {
            assert!(!is_inherited("demo", path, protected(pattern, false), none()), "{path} {pattern}");
            assert!(
                is_inherited("demo", path, protected(pattern, false), protected(pattern, false)),
                "{path} {pattern}"
            );
        }
    }
}
