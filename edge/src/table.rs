//! What this edge serves, as one immutable value: a request reads one table throughout, so an answer never mixes two releases.
//!
//! Header values are made when a table is built, so that answering a request only copies pointers.

mod blob_priority;
mod channel;
mod file_addresses;
mod host_route;
mod https_policy;
mod not_found_pages;
mod release_blobs;
mod resource;
mod resources;
mod site_rules;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use verge_protocol::host::HostLabel;
use verge_protocol::{DomainName, SiteName};

use crate::metrics::Traffic;

pub(crate) use blob_priority::{Priority, ReferencedBlob, ReferencedBlobs, Urgency};
pub(crate) use channel::{Channel, InheritedRelease, InheritedReleases};
pub(crate) use file_addresses::addresses;
pub(crate) use host_route::{DomainRedirect, HostRoute};
pub(crate) use https_policy::HttpsPolicy;
pub(crate) use release_blobs::{ReleaseBlob, ReleaseBlobs};
pub(crate) use resource::{Representation, Resource};
pub(crate) use resources::Resources;
pub(crate) use site_rules::{HeaderScope, PathHeaders, SiteRules, is_for_shared_caches};

/// Every host that this edge answers for: channels by their label under a base domain, and custom domains by name. The default
/// is the table of an edge that has never received a snapshot of the feed.
#[derive(Default)]
pub(crate) struct Table {
    labels: HashMap<Box<str>, HostRoute>,
    domains: HashMap<Box<str>, HostRoute>,
    /// The HTTPS settings of sites that have other ones than the default.
    https: BTreeMap<SiteName, HttpsPolicy>,
    /// Whether a host in neither map is known not to exist.
    is_complete: bool,
}

impl Table {
    /// A table of `served` and `pending` channels. `is_complete` tells whether they are all channels there are.
    pub(crate) fn new(
        served: impl Iterator<Item = Channel>,
        pending: impl Iterator<Item = (HostLabel, Arc<Traffic>)>,
        is_complete: bool,
    ) -> Self {
        let key = |label: &HostLabel| label.to_string().into_boxed_str();
        let served = served.map(|channel| (key(channel.label()), HostRoute::Served(Arc::new(channel))));
        let pending = pending.map(|(label, traffic)| (key(&label), HostRoute::Pending(Some(traffic))));
        let labels = served.chain(pending).collect();
        Self { labels, domains: HashMap::new(), https: BTreeMap::new(), is_complete }
    }

    /// The same, with the HTTPS settings of sites that have other ones than the default.
    pub(crate) fn with_https(self, https: BTreeMap<SiteName, HttpsPolicy>) -> Self {
        Self { https, ..self }
    }

    /// Makes `domain` answer as the live channel of `site` does. Does nothing if the site has none.
    pub(crate) fn add_domain(&mut self, domain: &DomainName, site: &SiteName) {
        // The label of a site's live channel is the site's name.
        if let Some(entry) = self.labels.get(site.as_str()) {
            self.domains.insert(domain.as_str().into(), entry.clone());
        }
    }

    /// Makes `domain` redirect to another domain.
    pub(crate) fn add_redirect(&mut self, domain: &DomainName, redirect: DomainRedirect) {
        self.domains.insert(domain.as_str().into(), HostRoute::Redirect(Arc::new(redirect)));
    }

    /// The entry of a label directly under a base domain. `label` is in lowercase.
    pub(crate) fn label(&self, label: &str) -> &HostRoute {
        self.labels.get(label).unwrap_or_else(|| self.default_entry())
    }

    /// The entry of a host that is not directly under a base domain. `name` is in lowercase.
    pub(crate) fn domain(&self, name: &str) -> &HostRoute {
        self.domains.get(name).unwrap_or_else(|| self.default_entry())
    }

    /// How the hosts of a site are reached over TLS; `None`: as by default.
    pub(crate) fn https(&self, site: &SiteName) -> Option<&HttpsPolicy> {
        self.https.get(site)
    }

    fn default_entry(&self) -> &'static HostRoute {
        static NOT_FOUND: HostRoute = HostRoute::NotFound;
        static PENDING: HostRoute = HostRoute::Pending(None);
        if self.is_complete { &NOT_FOUND } else { &PENDING }
    }

    /// Every served channel, in no particular order.
    #[cfg(test)]
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.labels.values().filter_map(HostRoute::served)
    }
}
