//! A channel as it is served: its release, and the files it inherits from others.

use std::sync::Arc;

use http::HeaderValue;
use verge_protocol::ReleaseNumber;
use verge_protocol::host::HostLabel;

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
    pub(crate) newer: Vec<Arc<Resources>>,
    /// Those that it served before.
    pub(crate) older: Vec<Arc<Resources>>,
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
        let newest = self.inherited.iter().find_map(|resources| resources.get(path))?;
        Some(newest).filter(|resource| resource.is_inheritable())
    }

    /// The releases that it inherits from, the most recent first.
    #[cfg(test)]
    pub(crate) fn inherited_releases(&self) -> impl Iterator<Item = &Arc<Resources>> {
        self.inherited.iter()
    }

    /// Whether only earlier releases had a script at this path, or the site has named it as a legacy service worker. A fingerprinted
    /// script of an earlier release is none: it is inherited as it is.
    pub(crate) fn is_former_script(&self, path: &str) -> bool {
        // After a rollback, the release does not know the scripts of later ones.
        let had_script = |earlier: &Arc<Resources>| {
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
    fn iter(&self) -> impl Iterator<Item = &Arc<Resources>> {
        self.newer.iter().chain(&self.older)
    }
}
