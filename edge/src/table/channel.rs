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
    inherited: Vec<Arc<Resources>>,
    traffic: Arc<Traffic>,
}

impl Channel {
    /// A channel that serves `own`. `inherited` is ordered the most recent release first.
    pub(crate) fn new(
        label: HostLabel,
        release: ReleaseNumber,
        own: Arc<Resources>,
        inherited: Vec<Arc<Resources>>,
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
    pub(crate) fn inherited_releases(&self) -> &[Arc<Resources>] {
        &self.inherited
    }

    /// The counters of its site.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}
