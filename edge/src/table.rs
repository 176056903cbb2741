//! What is served, as one value: a request sees one table from beginning to end, so never parts of two releases.
//!
//! Header values are made here, when a table is built, so that answering a request only copies pointers.

mod blob_priority;
mod channel;
mod host_entry;
mod resource;
mod resources;

use std::collections::HashMap;
use std::sync::Arc;

use verge_protocol::host::HostLabel;
use verge_protocol::{DomainName, SiteName};

use crate::metrics::Traffic;

pub(crate) use blob_priority::{Class, Need, Needs};
pub(crate) use channel::Channel;
pub(crate) use host_entry::{Moved, Place};
pub(crate) use resource::{Representation, Resource};
pub(crate) use resources::Resources;

/// Every channel with a release, by the label under a base domain at which it answers, and every domain. The default is that
/// of an edge that has been told nothing yet.
#[derive(Default)]
pub(crate) struct Table {
    labels: HashMap<Box<str>, Place>,
    domains: HashMap<Box<str>, Place>,
    /// Whether what is in neither is nobody's.
    told: bool,
}

impl Table {
    /// The table of an edge that was told of `served` and `coming`, and, if it was `told` all there is, of no others.
    pub(crate) fn of(
        served: impl Iterator<Item = Channel>,
        coming: impl Iterator<Item = (HostLabel, Arc<Traffic>)>,
        told: bool,
    ) -> Self {
        let label = |label: &HostLabel| label.to_string().into_boxed_str();
        let served = served.map(|channel| (label(channel.label()), Place::Served(Arc::new(channel))));
        let coming = coming.map(|(at, traffic)| (label(&at), Place::Coming(Some(traffic))));
        Self { labels: served.chain(coming).collect(), domains: HashMap::new(), told }
    }

    /// From now on `domain` is what `site` itself is: where that has nothing, nothing is here.
    pub(crate) fn show(&mut self, domain: &DomainName, site: &SiteName) {
        // The label of a site's live channel is the site's name.
        if let Some(place) = self.labels.get(site.as_str()) {
            self.domains.insert(domain.as_str().into(), place.clone());
        }
    }

    /// From now on whoever comes to `domain` is sent on.
    pub(crate) fn forward(&mut self, domain: &DomainName, moved: Moved) {
        self.domains.insert(domain.as_str().into(), Place::Moved(Arc::new(moved)));
    }

    /// What is at `label` under a base domain. It is in lowercase.
    pub(crate) fn label(&self, label: &str) -> &Place {
        self.labels.get(label).unwrap_or_else(|| self.elsewhere())
    }

    /// What is at the host `name`, which is not right below a base domain. It is in lowercase.
    pub(crate) fn domain(&self, name: &str) -> &Place {
        self.domains.get(name).unwrap_or_else(|| self.elsewhere())
    }

    fn elsewhere(&self) -> &'static Place {
        static EMPTY: Place = Place::Empty;
        static UNKNOWN: Place = Place::Coming(None);
        if self.told { &EMPTY } else { &UNKNOWN }
    }

    /// Every channel, in no order.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.labels.values().filter_map(Place::served)
    }
}
