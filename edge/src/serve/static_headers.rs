//! Header values that are the same for every answer of an edge.

use http::{HeaderName, HeaderValue};
use verge_protocol::EdgeName;

use crate::metrics::CacheResult;

/// Which release answered.
pub(crate) const VERGE_RELEASE: HeaderName = HeaderName::from_static("verge-release");
/// Which edge answered.
pub(crate) const VERGE_EDGE: HeaderName = HeaderName::from_static("verge-edge");
/// What the cache did (RFC 9211).
pub(crate) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");

/// Who answers, and from where, as header values.
pub(crate) struct Stamps {
    edge: HeaderValue,
    hit: HeaderValue,
    memory: HeaderValue,
    disk: HeaderValue,
    origin: HeaderValue,
    failed: HeaderValue,
}

impl Stamps {
    pub(crate) fn new(edge: &EdgeName) -> Self {
        // A token starts with a letter (RFC 9651 §3.3.4); a name that does not goes into quotes, which it never contains.
        let plain = edge.as_str().starts_with(|first: char| first.is_ascii_alphabetic());
        let cache = if plain { edge.to_string() } else { format!("\"{edge}\"") };
        let value = |text: String| HeaderValue::try_from(text).expect("an edge's name is a-z, 0-9 and hyphens");
        Self {
            edge: value(edge.to_string()),
            hit: value(format!("{cache}; hit")),
            memory: value(format!("{cache}; hit; detail=memory")),
            disk: value(format!("{cache}; hit; detail=disk")),
            origin: value(format!("{cache}; fwd=miss; stored")),
            failed: value(format!("{cache}; fwd=miss")),
        }
    }

    /// The edge's name.
    pub(crate) fn edge(&self) -> &HeaderValue {
        &self.edge
    }

    /// What needs no blob, such as a 304, is answered from the table.
    pub(crate) fn hit(&self) -> &HeaderValue {
        &self.hit
    }

    /// A blob that could not be had.
    pub(crate) fn failed(&self) -> &HeaderValue {
        &self.failed
    }

    /// Where the first blob came from.
    pub(crate) fn from(&self, result: CacheResult) -> &HeaderValue {
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
    fn names_are_tokens_or_quoted() {
        let stamps = |name: &str| Stamps::new(&name.parse().unwrap());
        assert_eq!(stamps("fra-1").from(CacheResult::Memory), "fra-1; hit; detail=memory");
        assert_eq!(stamps("1-fra").from(CacheResult::Origin), "\"1-fra\"; fwd=miss; stored");
    }
}
