//! The `Location` of redirects, to another domain and to `https`.

use http::{HeaderValue, Uri};
use percent_encoding::utf8_percent_encode;
use verge_protocol::DomainName;
use verge_protocol::rules::encoding::MUST_ENCODE;

/// The same path and query at `to`, on the port of the request. `None` if the request target has no path, such as `*`: what
/// follows the host could be taken as a part of it.
///
/// The location is relative to the scheme (RFC 3986 §4.2), because the edge may be behind a TLS proxy. Between `//` and the first
/// `/` is only the operator's domain, so no path can redirect to another host.
pub(super) fn location(to: &DomainName, port: Option<u16>, uri: &Uri) -> Option<HeaderValue> {
    with_scheme("", to, port, uri)
}

/// The same path and query over TLS. `None` as for [`location`].
pub(super) fn https_location(host: &DomainName, port: Option<u16>, uri: &Uri) -> Option<HeaderValue> {
    with_scheme("https:", host, port, uri)
}

/// The path of the request without its trailing slash and with each other slash once, then `suffix`, then the query. `None` as for
/// [`location`].
///
/// It begins with one slash and has no backslash: it leads to the host of the request.
pub(super) fn canonical_location(uri: &Uri, suffix: &str) -> Option<HeaderValue> {
    let path = uri.path().strip_prefix('/')?;
    let mut location = String::with_capacity(path.len() + suffix.len() + 1);
    for segment in path.split('/').filter(|segment| !segment.is_empty()) {
        location.push('/');
        location.extend(utf8_percent_encode(segment, MUST_ENCODE));
    }
    location.push_str(suffix);
    append_query(&mut location, uri);
    HeaderValue::try_from(location).ok()
}

fn append_query(location: &mut String, uri: &Uri) {
    if let Some(query) = uri.query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, MUST_ENCODE));
    }
}

fn with_scheme(scheme: &str, to: &DomainName, port: Option<u16>, uri: &Uri) -> Option<HeaderValue> {
    let path = uri.path().strip_prefix('/')?;
    let mut location = format!("{scheme}//{to}");
    if let Some(port) = port {
        location.push(':');
        location.push_str(&port.to_string());
    }
    location.push('/');
    location.extend(utf8_percent_encode(path, MUST_ENCODE));
    append_query(&mut location, uri);
    HeaderValue::try_from(location).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use reqwest::Url;

    use super::*;

    fn at(port: Option<u16>, target: &str) -> Option<String> {
        let location = location(&"www.a.example".parse().unwrap(), port, &target.parse().unwrap())?;
        Some(location.to_str().unwrap().to_owned())
    }

    #[test]
    fn location_keeps_path_query_and_port() {
        for (target, location) in [
            ("/", "/"),
            ("/a/../b.js?c=d&e=%2F?f", "/a/../b.js?c=d&e=%2F?f"),
            ("/?", "/?"),
            ("//evil.example/x", "//evil.example/x"),
            ("/@evil.example", "/@evil.example"),
            ("/%0d%0aset-cookie:%20a=b", "/%0d%0aset-cookie:%20a=b"),
            ("/ü?ß", "/%C3%BC?%C3%9F"),
            ("/a\"{b}?{c}", "/a%22%7Bb%7D?%7Bc%7D"),
            ("http://a.example", "/"),
            ("http://a.example?q", "/?q"),
        ] {
            assert_eq!(at(None, target).unwrap(), format!("//www.a.example{location}"), "{target}");
        }
        assert_eq!(at(Some(7480), "/a").unwrap(), "//www.a.example:7480/a");
        assert_eq!(at(None, "*"), None);
        let secure = https_location(&"a.example".parse().unwrap(), Some(8443), &"/b?c".parse().unwrap());
        assert_eq!(secure.unwrap(), "https://a.example:8443/b?c");
    }

    #[test]
    fn canonical_location_has_each_slash_once_and_keeps_the_query() {
        for (target, suffix, location) in [
            ("/docs?a=b&c", "/", "/docs/?a=b&c"),
            ("/docs/", "", "/docs"),
            ("/docs/?", ".html", "/docs.html?"),
            ("//evil.example//x/", "", "/evil.example/x"),
            ("//", "/", "/"),
            ("/\\evil.example/x", "/", "/%5Cevil.example/x/"),
            ("/ü//%C3%BC", "/", "/%C3%BC/%C3%BC/"),
        ] {
            let found = canonical_location(&target.parse().unwrap(), suffix).unwrap();
            assert_eq!(found.to_str().unwrap(), location, "{target} {suffix}");
        }
    }

    proptest! {
        /// Whatever the request target: the redirect leads to the configured domain.
        #[test]
        fn location_for_any_target_is_on_the_configured_domain(
            target in "(/|\\\\|@|:|\\?|\\.|evil|%0d%0a|%2f|\\PC){0,12}",
            port: Option<u16>,
            scheme in "https?",
        ) {
            if let Ok(uri) = format!("/{target}").parse::<Uri>() {
                let to: DomainName = "www.a.example".parse().unwrap();
                let location = location(&to, port, &uri).unwrap();
                let requested = Url::parse(&format!("{scheme}://a.example/some/where")).unwrap();
                let url = requested.join(location.to_str().unwrap()).unwrap();
                prop_assert_eq!((url.scheme(), url.host_str()), (scheme.as_str(), Some("www.a.example")));
                let usual = requested.port_or_known_default();
                prop_assert_eq!(url.port_or_known_default(), port.or(usual));
            }
        }
    }
}
