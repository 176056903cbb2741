//! The domain that sites hang below.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer};

/// A domain in lowercase, without dots at its ends, e.g. `localhost` or `sites.example`.
#[derive(Clone, PartialEq, Eq)]
pub struct BaseDomain(Box<str>);

/// Text that is not a domain.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a base domain: expected labels of a-z, 0-9 and inner hyphens, joined by dots")]
pub struct BaseDomainError(String);

impl BaseDomain {
    /// What browsers take for this very machine (RFC 6761 §6.3).
    pub fn localhost() -> Self {
        Self("localhost".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before it in `host`, which is in lowercase: `demo` for `demo.localhost`. One label only.
    pub(crate) fn label_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        let label = host.strip_suffix(&*self.0)?.strip_suffix('.')?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    }
}

impl FromStr for BaseDomain {
    type Err = BaseDomainError;

    fn from_str(text: &str) -> Result<Self, BaseDomainError> {
        let is_label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.split('.').all(is_label) { Ok(Self(text.into())) } else { Err(BaseDomainError(text.to_owned())) }
    }
}

impl fmt::Display for BaseDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for BaseDomain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl<'de> Deserialize<'de> for BaseDomain {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_label_stands_before_it() {
        let base: BaseDomain = "sites.example".parse().unwrap();
        assert_eq!(base.label_of("demo.sites.example"), Some("demo"));
        for other in ["sites.example", ".sites.example", "a.b.sites.example", "demosites.example", "demo.example", ""] {
            assert_eq!(base.label_of(other), None, "{other}");
        }
    }

    #[test]
    fn only_a_domain_is_a_base_domain() {
        for bad in ["", ".", "a.", ".a", "A", "-a", "a-.b", "a b", "a:1"] {
            assert!(bad.parse::<BaseDomain>().is_err(), "{bad}");
        }
    }
}
