//! What is served, as one value: a request sees one table from beginning to end, so never parts of two releases.
//!
//! Header values are made here, when a table is built, so that answering a request only copies pointers.

mod channel;
mod needs;
mod resource;
mod resources;

use std::collections::HashMap;
use std::sync::Arc;

pub(crate) use channel::Channel;
pub(crate) use needs::{Class, Need, Needs};
pub(crate) use resource::{Representation, Resource};
pub(crate) use resources::Resources;

/// Every channel with a release, by the label under the base domain at which it answers.
#[derive(Default)]
pub(crate) struct Table {
    channels: HashMap<Box<str>, Arc<Channel>>,
}

impl Table {
    /// The channel that answers at `label`, which is in lowercase.
    pub(crate) fn channel(&self, label: &str) -> Option<&Arc<Channel>> {
        self.channels.get(label)
    }

    /// Every channel, in no order.
    pub(crate) fn channels(&self) -> impl Iterator<Item = &Arc<Channel>> {
        self.channels.values()
    }
}

impl FromIterator<Channel> for Table {
    fn from_iter<I: IntoIterator<Item = Channel>>(channels: I) -> Self {
        let by_label = |channel: Channel| (channel.label().to_string().into_boxed_str(), Arc::new(channel));
        Self { channels: channels.into_iter().map(by_label).collect() }
    }
}
