//! Which host a request asks for (RFC 9112 §3.2, RFC 9113 §8.3.1).

use std::borrow::Cow;

use http::{HeaderMap, Uri, Version, header};

/// A request that does not say, in exactly one way, whom it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the request names no host, or several, or none that can be read")]
pub(crate) struct BadHost;

/// Whom a request is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Host<'a> {
    /// In lowercase, without port and trailing dot.
    pub(crate) name: Cow<'a, str>,
    /// The port, if one is given that there can be.
    pub(crate) port: Option<u16>,
}

/// Reads the host.
///
/// HTTP/1.1 wants exactly one `Host`, also when the target is in absolute form, whose authority then wins; HTTP/2 has
/// `:authority`, which arrives as the URI's.
pub(crate) fn of<'a>(uri: &'a Uri, headers: &'a HeaderMap, version: Version) -> Result<Host<'a>, BadHost> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(_), Some(_)) => return Err(BadHost),
        (host, _) => host.map(|host| std::str::from_utf8(host.as_bytes()).map_err(|_| BadHost)).transpose()?,
    };
    let authority = uri.authority().map(http::uri::Authority::as_str);
    if host.is_none() && (version < Version::HTTP_2 || authority.is_none()) {
        return Err(BadHost);
    }
    // Both must be sound, whichever counts: what is in front of us may have looked at the other.
    let host = host.map(read).transpose()?;
    let authority = authority.map(read).transpose()?;
    authority.or(host).ok_or(BadHost)
}

fn read(authority: &str) -> Result<Host<'_>, BadHost> {
    let (host, port) = match authority.strip_prefix('[') {
        // An IPv6 address has colons of its own (RFC 3986 §3.2.2).
        Some(rest) => {
            let end = rest.find(']').ok_or(BadHost)?;
            let (address, rest) = (&authority[..end + 2], &rest[end + 1..]);
            (address, if rest.is_empty() { None } else { Some(rest.strip_prefix(':').ok_or(BadHost)?) })
        }
        None => match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        },
    };
    if port.is_some_and(|port| port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return Err(BadHost);
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%[:]".contains(&byte);
    if host.is_empty() || host.starts_with('.') || host.contains("..") || !host.bytes().all(allowed) {
        return Err(BadHost);
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

    fn ask(uri: &str, hosts: &[&str], version: Version) -> Result<String, BadHost> {
        let mut headers = HeaderMap::new();
        for host in hosts {
            headers.append(header::HOST, HeaderValue::from_str(host).unwrap());
        }
        of(&uri.parse().unwrap(), &headers, version).map(|host| host.name.into_owned())
    }

    #[test]
    fn port_dot_and_case_do_not_count() {
        for host in ["demo.localhost", "Demo.LOCALHOST", "demo.localhost:7480", "demo.localhost.", "demo.localhost.:80"]
        {
            assert_eq!(ask("/", &[host], Version::HTTP_11).as_deref(), Ok("demo.localhost"), "{host}");
        }
        assert_eq!(ask("/", &["[::1]:80"], Version::HTTP_11).as_deref(), Ok("[::1]"));
    }

    #[test]
    fn the_port_is_that_of_the_host_that_counts() {
        let port = |uri: &str, host: &'static str| {
            let headers = HeaderMap::from_iter([(header::HOST, HeaderValue::from_static(host))]);
            of(&uri.parse().unwrap(), &headers, Version::HTTP_11).unwrap().port
        };
        assert_eq!((port("/", "a:7480"), port("/", "[::1]:80"), port("/", "a")), (Some(7480), Some(80), None));
        assert_eq!((port("/", "a:"), port("/", "a:99999")), (None, None));
        assert_eq!((port("http://b:1/", "a:2"), port("http://b/", "a:2")), (Some(1), None));
    }

    #[test]
    fn exactly_one_host_is_wanted() {
        assert_eq!(ask("/", &[], Version::HTTP_11), Err(BadHost));
        assert_eq!(ask("/", &[], Version::HTTP_10), Err(BadHost));
        assert_eq!(ask("/", &["a", "a"], Version::HTTP_11), Err(BadHost));
        assert_eq!(ask("http://a/", &[], Version::HTTP_11), Err(BadHost));
    }

    #[test]
    fn absolute_form_and_authority_win() {
        assert_eq!(ask("http://a.localhost:1/", &["b.localhost"], Version::HTTP_11).as_deref(), Ok("a.localhost"));
        assert_eq!(ask("http://a.localhost/", &[], Version::HTTP_2).as_deref(), Ok("a.localhost"));
        assert_eq!(ask("/", &["b.localhost"], Version::HTTP_2).as_deref(), Ok("b.localhost"));
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "", ".", ":80", "a..b", ".a", "a b", "a/b", "a:b", "a:1:2", "a:123456", "[::1", "[::1]x", "me@a", "a?b",
            "a\\b",
        ] {
            assert_eq!(ask("/", &[bad], Version::HTTP_11), Err(BadHost), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn arbitrary_hosts_never_panic(host in "\\PC{0,20}") {
            let _ = read(&host);
        }
    }
}
