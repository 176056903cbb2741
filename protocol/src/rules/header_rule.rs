//! Header rules: what `_headers` and `[[headers]]` of `netlify.toml` say.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::bounded::{self, HEADERS_MAX};
use super::header_pattern::HeaderPattern;

/// What responses at some paths carry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeaderRule {
    /// The paths.
    #[serde(rename = "for")]
    pub pattern: HeaderPattern,
    /// In their order: a later one replaces an earlier one of the same name, and the rule replaces earlier rules.
    #[serde(deserialize_with = "bounded::first::<_, _, HEADERS_READ>")]
    pub headers: Vec<HeaderChange>,
}

/// The headers of a rule that are read: one more than it may have, which shows that there are more.
const HEADERS_READ: usize = HEADERS_MAX + 1;

/// A header with the value that it gets, or without any if it is taken off. As JSON `["x-frame-options","DENY"]`, `["x-a",null]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "(String, Option<String>)", into = "(String, Option<String>)")]
pub struct HeaderChange {
    name: String,
    value: Option<String>,
}

/// Why a rule cannot say that of a header.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// The name is no token (RFC 9110 §5.1).
    #[error("invalid header name `{0}`: expected letters, digits and hyphens")]
    Name(String),
    /// The value has a control character.
    #[error("invalid value of `{0}`: control characters are not allowed")]
    Value(String),
    /// The server determines it.
    #[error("`{0}` is set by the server: a rule cannot set or remove it")]
    Reserved(String),
}

/// Headers that describe the connection or the bytes that are sent, which a rule does not know.
const RESERVED: [&str; 18] = [
    "accept-ranges",
    "age",
    "allow",
    "alt-svc",
    "cache-status",
    "connection",
    "content-encoding",
    "content-length",
    "content-range",
    "date",
    "etag",
    "keep-alive",
    "location",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl HeaderChange {
    /// The header `name` with `value`; without any for `None`. The name is converted to lowercase.
    pub fn new(name: &str, value: Option<&str>) -> Result<Self, HeaderError> {
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || !name.bytes().all(is_token) {
            return Err(HeaderError::Name(name.to_owned()));
        }
        let lower = name.to_ascii_lowercase();
        if RESERVED.contains(&&*lower) || lower.starts_with("verge-") {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        if value.is_some_and(|value| value.chars().any(|character| character.is_control() && character != '\t')) {
            return Err(HeaderError::Value(name.to_owned()));
        }
        Ok(Self { name: lower, value: value.map(|value| value.trim().to_owned()) })
    }

    /// The name, in lowercase.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The value; `None`: the header is taken off.
    pub fn value(&self) -> Option<&str> {
        self.value.as_deref()
    }

    /// Adds a value, as a second header of the same name would: with a comma (RFC 9110 §5.3).
    pub fn append(&mut self, value: &str) {
        let value = value.trim();
        match &mut self.value {
            // An empty value adds nothing to a list (RFC 9110 §5.6.1).
            Some(values) if !values.is_empty() && value.is_empty() => {}
            Some(values) if !values.is_empty() => {
                values.push_str(", ");
                values.push_str(value);
            }
            _ => self.value = Some(value.to_owned()),
        }
    }
}

impl TryFrom<(String, Option<String>)> for HeaderChange {
    type Error = HeaderError;

    fn try_from((name, value): (String, Option<String>)) -> Result<Self, HeaderError> {
        Self::new(&name, value.as_deref())
    }
}

impl From<HeaderChange> for (String, Option<String>) {
    fn from(change: HeaderChange) -> Self {
        (change.name, change.value)
    }
}

/// As a line of `_headers`.
impl fmt::Display for HeaderChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Some(value) => write!(formatter, "{}: {value}", self.name),
            None => write!(formatter, "! {}", self.name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_change_is_validated() {
        let change = HeaderChange::new("X-Frame-Options", Some(" DENY ")).unwrap();
        assert_eq!((change.name(), change.value()), ("x-frame-options", Some("DENY")));
        for name in ["", "a b", "x:", "ü", "a\n"] {
            assert!(matches!(HeaderChange::new(name, Some("1")), Err(HeaderError::Name(_))), "{name}");
        }
        for name in RESERVED.into_iter().chain(["Content-Length", "Verge-Edge", "ETag"]) {
            assert!(matches!(HeaderChange::new(name, None), Err(HeaderError::Reserved(_))), "{name}");
        }
        for value in ["a\r\nset-cookie: b", "\u{0}", "a\u{7f}"] {
            assert!(matches!(HeaderChange::new("x-a", Some(value)), Err(HeaderError::Value(_))), "{value:?}");
        }
        assert!(RESERVED.is_sorted());
    }

    #[test]
    fn rule_as_json() {
        let json = r#"{"for":"/*","headers":[["x-a","1"],["x-b",null]]}"#;
        let rule: HeaderRule = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&rule).unwrap(), json);
        assert!(serde_json::from_str::<HeaderRule>(r#"{"for":"/*","headers":[["etag","1"]]}"#).is_err());
    }
}
