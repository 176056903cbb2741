//! The decisions of an edge, without I/O: what the model test of rollouts (`tests/model`) runs. No part of the crate's interface.

use verge_protocol::Digest;
use verge_protocol::host::HostLabel;

pub use crate::follow::model::{Disk, Follower, Purge, ReleaseFiles, Saved, Serving};
use crate::serve::{Destination, RequestPath, Resolution, resolve};
use crate::table::{HostRoute, Table};

/// What readers see: the table, as it is swapped.
#[derive(Default)]
pub struct ServedTable(pub(crate) Table);

/// What a reader who asks for a script gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// 200, with these bytes.
    File(Digest),
    /// 404.
    NotFound,
    /// 410: these bytes were erased.
    Gone,
    /// 503: the channel cannot be served yet.
    NotReady,
}

impl ServedTable {
    /// The manifest of the release that a channel serves; `None` if it serves none.
    pub fn release(&self, label: &HostLabel) -> Option<Digest> {
        match self.0.label(&label.to_string()) {
            HostRoute::Served(channel) => Some(channel.own().manifest()),
            _ => None,
        }
    }

    /// The answer to a subresource of a page, or to a page.
    pub fn answer(&self, label: &HostLabel, path: &str) -> Answer {
        let channel = match self.0.label(&label.to_string()) {
            HostRoute::Served(channel) => channel,
            HostRoute::Pending(_) => return Answer::NotReady,
            HostRoute::Redirect(_) | HostRoute::NotFound => return Answer::NotFound,
        };
        let Ok(path) = RequestPath::parse(path) else { return Answer::NotFound };
        match resolve(channel, &path, None, || Destination::Subresource) {
            Ok(Resolution::File(file)) if file.is_erased() => Answer::Gone,
            Ok(Resolution::File(file)) => Answer::File(file.identity().content().digest()),
            _ => Answer::NotFound,
        }
    }
}
