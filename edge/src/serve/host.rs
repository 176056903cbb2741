//! The host of a request (RFC 9112 §3.2, RFC 9113 §8.3.1).

use std::borrow::Cow;

use http::{HeaderMap, Uri, Version, header};

/// Why a request has no host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HostError {
    /// None is named, as its version allows: HTTP/1.0 without `Host`, or an empty one. Health checks of load balancers do that.
    #[error("expected a host")]
    Missing,
    /// Several hosts, an invalid one, or in HTTP/1.1 none.
    #[error("expected exactly one valid host")]
    Invalid,
}

/// The host of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// In lowercase, without port and trailing dot.
    pub(crate) name: Cow<'a, str>,
    /// The port, if there is a valid one.
    pub(crate) port: Option<u16>,
}

/// Parses the host.
///
/// HTTP/1.1 requires exactly one `Host`, even if the request target is in absolute form; then the authority of the target takes
/// precedence. HTTP/2 has `:authority`, which is the authority of `uri`.
pub(crate) fn parse<'a>(uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<Host<'a>, HostError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(HostError::Invalid),
        (host, _) => {
            host.map(|host| std::str::from_utf8(host.as_bytes()).map_err(|_| HostError::Invalid)).transpose()?
        }
    };
    match uri.scheme_str() {
        // A target that is an authority is for `CONNECT` only (RFC 9112 §3.2.3).
        None if uri.authority().is_some() => return Err(HostError::Invalid),
        None | Some("http" | "https") => {}
        Some(_) => return Err(HostError::Invalid),
    }
    let authority = uri.authority().map(http::uri::Authority::as_str);
    match (host, authority) {
        (Some(""), None) => return Err(HostError::Missing),
        (None, None) if version != Version::HTTP_11 => return Err(HostError::Missing),
        (None, _) if version < Version::HTTP_2 => return Err(HostError::Invalid),
        _ => {}
    }
    // Both must be valid, because a proxy in front of the edge may have used the other one.
    let host = host.map(parse_authority).transpose()?;
    let authority = authority.map(parse_authority).transpose()?;
    authority.or(host).ok_or(HostError::Invalid)
}

fn parse_authority(authority: &str) -> Result<Host<'_>, HostError> {
    let (host, port) = match authority.strip_prefix('[') {
        // An IPv6 address contains colons (RFC 3986 §3.2.2).
        Some(rest) => {
            let end = rest.find(']').ok_or(HostError::Invalid)?;
            let (address, rest) = (&authority[..end + 2], &rest[end + 1..]);
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(HostError::Invalid)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if port.is_some_and(|port| port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(HostError::Invalid);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%[:]".contains(&byte);
    if host.is_empty() || host.starts_with('.') || host.contains("..") || !host.bytes().all(allowed) {
        return Err(HostError::Invalid);
    }
    let name = if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
        Cow::Owned(host.to_ascii_lowercase())
    } else {
        Cow::Borrowed(host)
    };
    Ok(Host { name, port: port.and_then(|port| port.parse().ok()) })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn host_name(uri: &str, hosts: &[&str], version: Version) -> Result<String, HostError> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        parse(&uri.parse().unwrap(), &headers, version).map(|host| host.name.into_owned())
    }

    #[test]
    fn name_is_lowercase_without_port_and_trailing_dot() {
        for host in ["demo.localhost", "Demo.LOCALHOST", "demo.localhost:7480", "demo.localhost.", "demo.localhost.:80"]
        {
            assert_eq!(host_name("/", &[host], Version::HTTP_11).as_deref(), Ok("demo.localhost"), "{host}");
        }
        assert_eq!(host_name("/", &["[::1]:80"], Version::HTTP_11).as_deref(), Ok("[::1]"));
    }

    #[test]
    fn target_is_a_path_or_a_url_of_a_web_server() {
        for target in ["/", "*", "http://a.example/", "HTTPS://a.example"] {
            assert_eq!(host_name(target, &["a.example"], Version::HTTP_11).as_deref(), Ok("a.example"), "{target}");
        }
        for target in ["a.example", "a.example:80", "ftp://a.example/"] {
            assert_eq!(host_name(target, &["a.example"], Version::HTTP_11), Err(HostError::Invalid), "{target}");
        }
    }

    #[test]
    fn port_is_that_of_the_host_with_precedence() {
        let port = |uri: &str, host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            parse(&uri.parse().unwrap(), &headers, Version::HTTP_11).unwrap().port
        };
        assert_eq!((port("/", "a:7480"), port("/", "[::1]:80"), port("/", "a")), (Some(7480), Some(80), None));
        assert_eq!((port("/", "a:"), port("/", "a:99999")), (None, None));
        assert_eq!((port("http://b:1/", "a:2"), port("http://b/", "a:2")), (Some(1), None));
    }

    #[test]
    fn request_without_exactly_one_host_is_invalid() {
        let invalid = Err(HostError::Invalid);
        assert_eq!(host_name("/", &[], Version::HTTP_11), invalid);
        assert_eq!(host_name("/", &["a", "a"], Version::HTTP_11), invalid);
        assert_eq!(host_name("/", &["", ""], Version::HTTP_11), invalid);
        assert_eq!(host_name("http://a/", &[], Version::HTTP_11), invalid);
        assert_eq!(host_name("http://a/", &[], Version::HTTP_10), invalid);
        assert_eq!(host_name("http://a/", &[""], Version::HTTP_11), invalid);
    }

    #[test]
    fn host_that_may_be_left_out_is_missing() {
        let missing = Err(HostError::Missing);
        assert_eq!(host_name("/", &[], Version::HTTP_10), missing);
        assert_eq!(host_name("/", &[""], Version::HTTP_10), missing);
        assert_eq!(host_name("/", &[""], Version::HTTP_11), missing);
        assert_eq!(host_name("/", &[], Version::HTTP_2), missing);
    }

    #[test]
    fn authority_takes_precedence_over_host() {
        assert_eq!(
            host_name("http://a.localhost:1/", &["b.localhost"], Version::HTTP_11).as_deref(),
            Ok("a.localhost")
        );
        assert_eq!(host_name("http://a.localhost/", &[], Version::HTTP_2).as_deref(), Ok("a.localhost"));
        assert_eq!(host_name("/", &["b.localhost"], Version::HTTP_2).as_deref(), Ok("b.localhost"));
    }

    #[test]
    fn malformed_host_is_invalid() {
        for bad in [
            ".", ":80", "a..b", ".a", "a b", "a/b", "a:b", "a:1:2", "a:123456", "[::1", "[::1]x", "me@a", "a?b", "a\\b",
        ] {
            assert_eq!(host_name("/", &[bad], Version::HTTP_11), Err(HostError::Invalid), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_hosts_do_not_panic(host in "\\PC{0,20}") {
            let _ = parse_authority(&host);
        }
    }
}
