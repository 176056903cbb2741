//! What a host is.

use std::sync::Arc;

use verge_protocol::DomainName;

use super::Channel;
use crate::metrics::Traffic;

/// What is at a label under a base domain, or at a domain. Clones share it.
#[derive(Clone)]
pub(crate) enum Place {
    /// A channel that answers.
    Served(Arc<Channel>),
    /// A channel that cannot answer yet, and where its requests are counted; `None` while nobody knows whether there is one.
    Coming(Option<Arc<Traffic>>),
    /// Another domain stands for this one.
    Moved(Arc<Moved>),
    /// Nothing, and nothing is on its way.
    Empty,
}

impl Place {
    /// The channel that answers.
    pub(super) fn served(&self) -> Option<&Arc<Channel>> {
        match self {
            Self::Served(channel) => Some(channel),
            Self::Coming(_) | Self::Moved(_) | Self::Empty => None,
        }
    }
}

/// Where the readers of a domain are sent on to.
pub(crate) struct Moved {
    to: DomainName,
    traffic: Arc<Traffic>,
}

impl Moved {
    pub(crate) fn new(to: DomainName, traffic: Arc<Traffic>) -> Self {
        Self { to, traffic }
    }

    /// The domain that stands for it.
    pub(crate) fn to(&self) -> &DomainName {
        &self.to
    }

    /// Where its requests are counted.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}
