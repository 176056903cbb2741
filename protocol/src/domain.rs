//! Domain names: base domains of sites, and custom domains.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;

/// A host's domain name in lowercase, without leading or trailing dot: `localhost`, `www.example.com`. At most 253 characters in labels
/// of at most 63 (RFC 1035 §2.3.4, RFC 1123 §2.1). Internationalised names are in their ASCII form (RFC 5890 A-label).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(Box<str>);

/// The text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid domain name `{0}`: expected labels of a-z, 0-9 and inner hyphens, separated by dots")]
pub struct DomainNameError(String);

impl DomainName {
    /// `localhost`, which browsers resolve to loopback (RFC 6761 §6.3).
    pub fn localhost() -> Self {
        Self("localhost".into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The labels, from the left.
    pub fn labels(&self) -> impl Iterator<Item = &str> {
        self.0.split('.')
    }

    /// The single label of `host` below this domain: `demo` for `demo.localhost`. `host` is lowercase.
    pub fn label_of<'a>(&self, host: &'a str) -> Option<&'a str> {
        let label = host.strip_suffix(&*self.0)?.strip_suffix('.')?;
        (!label.is_empty() && !label.contains('.')).then_some(label)
    }

    /// Whether this is `parent` or a subdomain of it.
    pub fn is_within(&self, parent: &Self) -> bool {
        self.0.strip_suffix(&*parent.0).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    }
}

impl FromStr for DomainName {
    type Err = DomainNameError;

    fn from_str(text: &str) -> Result<Self, DomainNameError> {
        let is_label = |label: &str| {
            let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
            (1..=63).contains(&label.len())
                && label.bytes().all(inner)
                && !label.starts_with('-')
                && !label.ends_with('-')
        };
        if text.len() <= 253 && text.split('.').all(is_label) {
            Ok(Self(text.into()))
        } else {
            Err(DomainNameError(text.to_owned()))
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(DomainName);

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DomainName {
        text.parse().unwrap()
    }

    #[test]
    fn label_of_host_is_single_label_below_domain() {
        let base = name("sites.example");
        assert_eq!(base.label_of("demo.sites.example"), Some("demo"));
        for other in ["sites.example", ".sites.example", "a.b.sites.example", "demosites.example", "demo.example", ""] {
            assert_eq!(base.label_of(other), None, "{other}");
        }
    }

    #[test]
    fn domain_is_within_itself_and_its_parents() {
        let www = name("www.example.com");
        assert!(www.is_within(&www) && www.is_within(&name("example.com")) && www.is_within(&name("com")));
        assert!(!www.is_within(&name("ample.com")) && !name("example.com").is_within(&www));
    }

    #[test]
    fn malformed_domain_name_is_rejected() {
        let long = ["a".repeat(63).as_str(); 4].join(".");
        for bad in ["", ".", "a.", ".a", "A", "-a", "a-.b", "a b", "a:1", "a..b", "*.a", "_a.b", &long] {
            assert!(bad.parse::<DomainName>().is_err(), "{bad}");
        }
    }
}
