//! Where a request goes on, that came to a domain which another one stands for.

use http::{HeaderValue, Uri};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use verge_protocol::DomainName;

/// What the path and query of a URI cannot hold as it is (RFC 3986 §3.3, §3.4), though it may come so.
const NEVER_PLAIN: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'\\')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// The same path and query at `to`, on the port that was asked for. `None` for a target that is no path: what would follow the
/// host could be taken for a part of it.
///
/// The scheme is left to be the reader's own (RFC 3986 §4.2): a TLS proxy may be in front, and nothing here would know. What
/// follows `//` is the operator's domain up to the first `/`, so that no path can name another host.
pub(super) fn location(to: &DomainName, port: Option<u16>, uri: &Uri) -> Option<HeaderValue> {
    let path = uri.path().strip_prefix('/')?;
    let mut location = format!("//{to}");
    if let Some(port) = port {
        location.push(':');
        location.push_str(&port.to_string());
    }
    location.push('/');
    location.extend(utf8_percent_encode(path, NEVER_PLAIN));
    if let Some(query) = uri.query() {
        location.push('?');
        location.extend(utf8_percent_encode(query, NEVER_PLAIN));
    }
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
    fn path_and_query_go_along_as_they_were_asked_for() {
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
    }

    proptest! {
        /// Whatever is asked, a reader goes to the domain that was named, and to no other.
        #[test]
        fn no_target_leads_elsewhere(
            target in "(/|\\\\|@|:|\\?|\\.|evil|%0d%0a|%2f|\\PC){0,12}",
            port: Option<u16>,
            scheme in "https?",
        ) {
            if let Ok(uri) = format!("/{target}").parse::<Uri>() {
                let to: DomainName = "www.a.example".parse().unwrap();
                let location = location(&to, port, &uri).unwrap();
                let asked = Url::parse(&format!("{scheme}://a.example/some/where")).unwrap();
                let url = asked.join(location.to_str().unwrap()).unwrap();
                prop_assert_eq!((url.scheme(), url.host_str()), (scheme.as_str(), Some("www.a.example")));
                let usual = asked.port_or_known_default();
                prop_assert_eq!(url.port_or_known_default(), port.or(usual));
            }
        }
    }
}
