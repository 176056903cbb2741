//! Which blobs a table may send, and how much each is missed.

use std::collections::HashMap;

use verge_protocol::{Content, Digest, Timestamp};

use super::{Resources, Table};

/// What a blob is kept for, the least important first: eviction goes upwards, prefetching downwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// Nothing that is served now.
    Unreferenced,
    /// A channel other than `live`.
    Preview,
    /// What `live` channels inherit.
    Inherited,
    /// The release of a `live` channel.
    Live,
}

/// One blob's part in a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Need {
    /// The most important of its uses.
    pub(crate) class: Class,
    /// In bytes.
    pub(crate) size: u64,
}

/// Every blob that a table may send.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Needs(HashMap<Digest, Need>);

impl Needs {
    /// What `table` may send from `now` on.
    pub(crate) fn of(table: &Table, now: Timestamp) -> Self {
        let mut needs = Self::default();
        for channel in table.channels() {
            let live = channel.label().channel.is_live();
            needs.add(channel.own(), if live { Class::Live } else { Class::Preview });
            for inherited in channel.inherited(now) {
                needs.add(inherited, if live { Class::Inherited } else { Class::Preview });
            }
        }
        needs
    }

    fn add(&mut self, resources: &Resources, class: Class) {
        for piece in resources.contents().flat_map(Content::pieces) {
            let need = self.0.entry(piece.digest).or_insert(Need { class, size: piece.size });
            need.class = need.class.max(class);
        }
    }

    /// What a blob is kept for.
    pub(crate) fn class(&self, digest: &Digest) -> Class {
        self.0.get(digest).map_or(Class::Unreferenced, |need| need.class)
    }

    /// Every blob, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (Digest, Need)> + '_ {
        self.0.iter().map(|(digest, need)| (*digest, *need))
    }
}

#[cfg(test)]
impl FromIterator<(Digest, Need)> for Needs {
    fn from_iter<I: IntoIterator<Item = (Digest, Need)>>(needs: I) -> Self {
        Self(needs.into_iter().collect())
    }
}
