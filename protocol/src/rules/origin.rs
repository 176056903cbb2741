//! The origin of a URL: scheme, host and port (RFC 6454 §4).

use std::fmt;

use super::rule_request::RuleRequest;

/// Scheme, host and port of a target that is a URL.
#[derive(Clone, PartialEq, Eq)]
pub struct Origin {
    /// As it begins a location, `https://www.example.com:8443`.
    text: Box<str>,
    scheme: &'static str,
    /// In lowercase, without a trailing dot.
    host: Box<str>,
    port: Option<u16>,
}

impl Origin {
    /// Parses `authority`, a host name or IPv4 address, with or without a port (RFC 3986 §3.2). `None` if it is anything else.
    pub(super) fn parse(scheme: &'static str, authority: &str) -> Option<Self> {
        let authority = authority.to_ascii_lowercase();
        let (host, port) = authority.split_once(':').map_or((&*authority, None), |(host, port)| (host, Some(port)));
        let port = match port {
            Some(port) if port.bytes().all(|byte| byte.is_ascii_digit()) => Some(port.parse().ok()?),
            Some(_) => return None,
            None => None,
        };
        let host = host.strip_suffix('.').unwrap_or(host);
        let is_label = |label: &str| {
            !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let is_host = host.split('.').all(is_label);
        is_host.then(|| Self { text: format!("{scheme}://{authority}").into(), scheme, host: host.into(), port })
    }

    /// As it begins a location, `https://www.example.com:8443`.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// `https` or `http`.
    pub(super) fn scheme(&self) -> &'static str {
        self.scheme
    }

    /// The host, in lowercase, without a trailing dot.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// The port, if it names one.
    pub(super) fn port(&self) -> Option<u16> {
        self.port
    }

    /// Whether it is that of `request`, or of the same host without TLS, from where edges redirect to TLS. A port that is left out is that of the
    /// scheme.
    pub(super) fn is_of(&self, request: &RuleRequest<'_>) -> bool {
        let other_port = |scheme, port: Option<u16>| port.filter(|port| Some(*port) != default_port(scheme));
        (self.scheme == request.scheme || request.scheme == "https")
            && *self.host == *request.host
            && other_port(self.scheme, self.port) == other_port(request.scheme, request.port)
    }
}

/// The port of URLs without one (RFC 9110 §4.2).
fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "https" => Some(443),
        "http" => Some(80),
        _ => None,
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::SplitPath;

    #[test]
    fn origin_is_that_of_requests_to_the_same_scheme_host_and_port() {
        let is_of = |scheme, authority: &str, requested, host, port| {
            let path = SplitPath::new("/");
            let request = RuleRequest::new(requested, host, port, &path, None);
            Origin::parse(scheme, authority).unwrap().is_of(&request)
        };
        for (scheme, authority, port) in [
            ("https", "a.example", None),
            ("https", "A.example.", Some(443)),
            ("https", "a.example:443", None),
            ("https", "a.example:8443", Some(8443)),
            ("http", "a.example", Some(80)),
            ("http", "a.example:0080", None),
        ] {
            assert!(is_of(scheme, authority, scheme, "a.example", port), "{scheme} {authority}");
        }
        for (scheme, authority, port) in [
            ("https", "a.example", Some(8443)),
            ("https", "a.example:8443", None),
            ("https", "a.example:80", Some(443)),
            ("http", "a.example", Some(443)),
            ("https", "www.a.example", None),
        ] {
            assert!(!is_of(scheme, authority, scheme, "a.example", port), "{scheme} {authority}");
        }
        assert!(!is_of("https", "a.example:80", "http", "a.example", None), "another scheme");
    }
}
