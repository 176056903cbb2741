//! What is served, as one value: a request sees one table from beginning to end, so never parts of two releases.
//!
//! Header values are made here, when a table is built, so that answering a request only copies pointers.

mod channel;
mod needs;
mod resource;
mod resources;

use std::collections::HashMap;
use std::sync::Arc;

use verge_protocol::host::HostLabel;

use crate::metrics::Traffic;

pub(crate) use channel::Channel;
pub(crate) use needs::{Class, Need, Needs};
pub(crate) use resource::{Representation, Resource};
pub(crate) use resources::Resources;

/// Every channel with a release, by the label under the base domain at which it answers. The default is that of an edge that
/// has been told nothing yet.
#[derive(Default)]
pub(crate) struct Table {
    channels: HashMap<Box<str>, Arc<Channel>>,
    coming: HashMap<Box<str>, Arc<Traffic>>,
    /// Whether a label that is in neither is nobody's.
    told: bool,
}

/// What is at a label.
pub(crate) enum Place<'a> {
    /// A channel that answers.
    Served(&'a Arc<Channel>),
    /// A channel that cannot answer yet, and where its requests are counted; `None` while nobody knows whether there is one.
    Coming(Option<&'a Arc<Traffic>>),
    /// Nothing, and nothing is on its way.
    Empty,
}

impl Table {
    /// The table of an edge that was told of `served` and `coming` and of no others.
    pub(crate) fn of(
        served: impl Iterator<Item = Channel>,
        coming: impl Iterator<Item = (HostLabel, Arc<Traffic>)>,
    ) -> Self {
        let label = |label: &HostLabel| label.to_string().into_boxed_str();
        Self {
            channels: served.map(|channel| (label(channel.label()), Arc::new(channel))).collect(),
            coming: coming.map(|(at, traffic)| (label(&at), traffic)).collect(),
            told: true,
        }
    }

    /// What is at `label`, which is in lowercase.
    pub(crate) fn place(&self, label: &str) -> Place<'_> {
        match (self.channels.get(label), self.coming.get(label)) {
            (Some(channel), _) => Place::Served(channel),
            (None, None) if self.told => Place::Empty,
            (None, traffic) => Place::Coming(traffic),
        }
    }

    /// Every channel, in no order.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values()
    }
}
