//! Header names and values that are the same for many responses.

use http::{HeaderName, HeaderValue};
use verge_protocol::EdgeName;

use crate::metrics::CacheResult;

/// The release that answered.
pub(crate) const VERGE_RELEASE: HeaderName = HeaderName::from_static("verge-release");
/// The edge that answered.
pub(crate) const VERGE_EDGE: HeaderName = HeaderName::from_static("verge-edge");
/// What the cache did (RFC 9211).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// What search engines may do with the response.
pub(crate) const X_ROBOTS_TAG: HeaderName = HeaderName::from_static("x-robots-tag");
/// The `X-Robots-Tag` of every host but a site's own and its domains.
pub(crate) const NOINDEX: HeaderValue = HeaderValue::from_static("noindex");

/// The `Cache-Control` of responses that must not be kept.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// Header values that contain the name of this edge.
pub(crate) struct CommonHeaders {
    edge: HeaderValue,
    hit: HeaderValue,
    memory: HeaderValue,
    disk: HeaderValue,
    origin: HeaderValue,
    miss: HeaderValue,
}

impl CommonHeaders {
    pub(crate) fn new(edge: &EdgeName) -> Self {
        // An RFC 9651 token starts with a letter (§3.3.4); other names are quoted, and never contain a quote themselves.
        let is_token = edge.as_str().starts_with(|first: char| first.is_ascii_alphabetic());
        let cache = if is_token { edge.to_string() } else { format!("\"{edge}\"") };
        let value = |text: String| HeaderValue::try_from(text).expect("an edge's name is a-z, 0-9 and hyphens");
        Self {
            edge: value(edge.to_string()),
            hit: value(format!("{cache}; hit")),
            memory: value(format!("{cache}; hit; detail=memory")),
            disk: value(format!("{cache}; hit; detail=disk")),
            origin: value(format!("{cache}; fwd=miss; stored")),
            miss: value(format!("{cache}; fwd=miss")),
        }
    }

    /// The value of `Verge-Edge`.
    pub(crate) fn edge(&self) -> &HeaderValue {
        &self.edge
    }

    /// The `Cache-Status` of a response without a blob, such as a 304.
    pub(crate) fn hit(&self) -> &HeaderValue {
        &self.hit
    }

    /// The `Cache-Status` of a response whose blob is unavailable.
    pub(crate) fn miss(&self) -> &HeaderValue {
        &self.miss
    }

    /// The `Cache-Status` of a response whose first blob came from there.
    pub(crate) fn cache_status(&self, result: CacheResult) -> &HeaderValue {
        match result {
            CacheResult::Memory => &self.memory,
            CacheResult::Disk => &self.disk,
            CacheResult::Origin => &self.origin,
            CacheResult::None => &self.hit,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_status_with_a_name_that_is_no_token_quotes_it() {
        let common = |name: &str| CommonHeaders::new(&name.parse().unwrap());
        assert_eq!(common("fra-1").cache_status(CacheResult::Memory), "fra-1; hit; detail=memory");
        assert_eq!(common("1-fra").cache_status(CacheResult::Origin), "\"1-fra\"; fwd=miss; stored");
    }
}
