//! What edges answer with at a host.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::domain::DomainName;
use crate::https::SiteHttps;
use crate::name::{ChannelName, SiteName};
use crate::release::ReleaseNumber;
use crate::state::Inherited;

/// Answer to `GET /v1/hosts/{host}`: what edges answer with at a host, once they have applied all that the origin has written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// The site.
    pub site: SiteName,
    /// The channel; `None`: the host is that of one release.
    #[serde(default)]
    pub channel: Option<ChannelName>,
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// The manifests whose fingerprinted files are served too, the most recent first.
    #[serde(default)]
    pub inherits: Vec<Inherited>,
    /// The contents that the site does not serve any more.
    #[serde(default)]
    pub erased: BTreeSet<Digest>,
    /// The domain that all paths redirect to.
    #[serde(default)]
    pub redirect_to: Option<DomainName>,
    /// How readers reach the site over TLS.
    #[serde(default)]
    pub https: SiteHttps,
    /// Whether there is a certificate for the host.
    #[serde(default)]
    pub has_certificate: bool,
}
