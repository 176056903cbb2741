//! The hosts at which a private listener answers.
//!
//! A web page can have the browser of an operator send requests to any address: by DNS rebinding, even such that it may read the answers,
//! because the name in the URL is the page's own. That name is then the host of the request.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use verge_protocol::DomainName;

/// Names at which a private listener answers besides addresses, `localhost` and names below it. Clones share them.
///
/// Names of one label are none of them unless they are listed: in a network with a hostile search domain, a page may be at one.
#[derive(Debug, Clone)]
pub(super) struct Hosts(Arc<[String]>);

/// Marks a request for a host that is none of them: its answer tells no reasons.
#[derive(Debug, Clone, Copy)]
pub(super) struct OtherHost;

impl Hosts {
    /// These names, and that of the machine.
    pub(super) fn new(names: &[DomainName], machine: Option<String>) -> Self {
        let machine = machine.map(|name| name.to_ascii_lowercase()).filter(|name| !name.is_empty());
        Self(names.iter().map(ToString::to_string).chain(machine).collect())
    }

    /// Answers requests for other hosts with 421, but for health, of which load balancers learn [as much as concerns them](OtherHost).
    pub(super) async fn check(self, mut request: Request, next: Next) -> Response {
        match self.refused(request.uri(), request.headers()) {
            None => next.run(request).await,
            Some(_) if request.uri().path() == "/healthz" => {
                request.extensions_mut().insert(OtherHost);
                next.run(request).await
            }
            Some(host) => {
                let text = format!(
                    "the private listener does not answer at the host `{host}`: use an address or localhost, or add the name to the \
                     setting `private_hosts`\n"
                );
                (StatusCode::MISDIRECTED_REQUEST, [(header::X_CONTENT_TYPE_OPTIONS, "nosniff")], text).into_response()
            }
        }
    }

    /// The host of a request that is not answered there. A request without a host comes from no browser.
    fn refused(&self, uri: &Uri, headers: &HeaderMap) -> Option<String> {
        let fields = headers.get_all(header::HOST).iter().map(|host| String::from_utf8_lossy(host.as_bytes()));
        let target = uri.authority().map(|authority| authority.as_str().into());
        target.into_iter().chain(fields).find(|host| !self.has(host)).map(|host| host.chars().take(255).collect())
    }

    /// Whether it answers at this host, with or without a port.
    fn has(&self, host: &str) -> bool {
        let name = host.trim().to_ascii_lowercase();
        if name.is_empty() {
            return true;
        }
        if let Some((address, _)) = name.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
            return address.parse::<Ipv6Addr>().is_ok();
        }
        let name = name.split_once(':').map_or(&*name, |(name, _)| name);
        let name = name.strip_suffix('.').unwrap_or(name);
        name == "localhost"
            || name.ends_with(".localhost")
            || name.parse::<Ipv4Addr>().is_ok()
            || self.0.iter().any(|own| own == name)
    }
}

/// The name of this machine, if the system tells it.
pub(super) fn machine() -> Option<String> {
    Some(std::fs::read_to_string("/proc/sys/kernel/hostname").ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hosts() -> Hosts {
        Hosts::new(&["metrics.internal".parse().unwrap()], Some("Fra-1".to_owned()))
    }

    #[test]
    fn private_listener_answers_at_addresses_local_names_and_configured_ones() {
        for host in [
            "127.0.0.1",
            "10.0.0.1:7501",
            "[::1]:7501",
            "[2001:db8::1]",
            "localhost",
            "LOCALHOST:7501",
            "fra-1.localhost",
            "localhost.",
            "metrics.internal",
            "metrics.internal:7501",
            "Metrics.Internal.",
            "fra-1",
            "fra-1:80",
            "",
        ] {
            assert!(hosts().has(host), "{host}");
        }
        for host in [
            "x",
            "x:7501",
            "notlocalhost",
            "evil.example",
            "evil.example:7501",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "[evil.example]",
            "x.metrics.internal",
            "metrics.internal.evil.example",
            "fra-1.evil.example",
            "1.2.3",
            "[::1",
            "::1.evil.example",
        ] {
            assert!(!hosts().has(host), "{host}");
        }
    }

    #[test]
    fn every_host_of_a_request_is_checked() {
        let refused = |target: &str, fields: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for host in fields {
                headers.append(header::HOST, host.parse().unwrap());
            }
            hosts().refused(&target.parse().unwrap(), &headers)
        };
        assert_eq!(refused("/metrics", &[]), None);
        assert_eq!(refused("/metrics", &["localhost"]), None);
        assert_eq!(refused("/metrics", &["localhost", "evil.example"]).as_deref(), Some("evil.example"));
        assert_eq!(refused("http://evil.example:80/metrics", &["localhost"]).as_deref(), Some("evil.example:80"));
        assert_eq!(refused("http://localhost/metrics", &["evil.example"]).as_deref(), Some("evil.example"));
    }
}
