//! What a host answers with.

use std::sync::Arc;

use verge_protocol::{DomainName, SiteName};

use super::channel::Channel;
use crate::metrics::Traffic;

/// The entry of one host in the table. Clones share it.
#[derive(Clone)]
pub(crate) enum HostRoute {
    /// A channel that is served.
    Served(Arc<Channel>),
    /// 503: a channel that cannot be served yet, with the counters of its site. `None`: the edge does not know yet whether the
    /// host exists.
    Pending(Option<Arc<Traffic>>),
    /// 308: the domain redirects to another.
    Redirect(Arc<DomainRedirect>),
    /// 404: no channel and no domain.
    NotFound,
}

impl HostRoute {
    /// The channel, if it is served.
    pub(crate) fn served(&self) -> Option<&Arc<Channel>> {
        match self {
            Self::Served(channel) => Some(channel),
            Self::Pending(_) | Self::Redirect(_) | Self::NotFound => None,
        }
    }

    /// The counters of the site of the host, if it is known.
    pub(crate) fn traffic(&self) -> Option<&Arc<Traffic>> {
        match self {
            Self::Served(channel) => Some(channel.traffic()),
            Self::Pending(traffic) => traffic.as_ref(),
            Self::Redirect(redirect) => Some(redirect.traffic()),
            Self::NotFound => None,
        }
    }

    /// The site of the host, if it is known.
    pub(crate) fn site(&self) -> Option<&SiteName> {
        match self {
            Self::Served(channel) => Some(&channel.label().site),
            Self::Redirect(redirect) => Some(&redirect.site),
            Self::Pending(_) | Self::NotFound => None,
        }
    }
}

/// A redirect of all paths of a domain.
pub(crate) struct DomainRedirect {
    to: DomainName,
    site: SiteName,
    traffic: Arc<Traffic>,
}

impl DomainRedirect {
    pub(crate) fn new(to: DomainName, site: SiteName, traffic: Arc<Traffic>) -> Self {
        Self { to, site, traffic }
    }

    /// The domain that it redirects to.
    pub(crate) fn to(&self) -> &DomainName {
        &self.to
    }

    /// The counters of its site.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }
}
