//! Errors of claiming, checking and removing a domain.

use verge_protocol::{DomainName, SiteName};

use super::proof;
use crate::store::StoreError;

/// Why a domain was not claimed, checked or removed. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DomainError {
    #[error("`{0}` is not a registrable domain")]
    NotRegistrable(DomainName),
    #[error("`{name}` is too long: {} characters, expected at most {}", name.as_str().len(), proof::DOMAIN_MAX)]
    TooLong { name: DomainName },
    #[error("`{name}` is within {base}, the domain of the origin's sites")]
    WithinBase { name: DomainName, base: DomainName },
    #[error("`{0}` is the name of the origin's API")]
    OfApi(DomainName),
    #[error("`{name}` is a domain of site `{site}`")]
    Taken { name: DomainName, site: SiteName },
    #[error("`{0}` cannot redirect to itself")]
    RedirectToItself(DomainName),
    #[error("there is no domain `{target}` to redirect to")]
    UnknownTarget { target: DomainName, site: SiteName },
    #[error("`{target}` is a domain of another site, `{site}`")]
    TargetOfOtherSite { target: DomainName, site: SiteName },
    #[error("`{target}` itself redirects to `{further}`")]
    RedirectChain { target: DomainName, further: DomainName },
    #[error("`{by}` redirects to `{name}`")]
    RedirectedTo { name: DomainName, by: DomainName },
    #[error("there is no domain `{0}`")]
    Unknown(DomainName),
    #[error(transparent)]
    Store(#[from] StoreError),
}
