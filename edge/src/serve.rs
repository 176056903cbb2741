//! Answering readers: one hyper service without a router.
//!
//! A request passes these steps in this order. Each may end it with a response.
//!
//! | # | Step | File | Ends the request with |
//! |---|---|---|---|
//! | 0 | Wait for the end of an HTTP/2 request that did not end with its headers | `framing.rs` | |
//! | 1 | Check the message framing, the length of the target, the method and expectations | `framing.rs` | 400, 413, 414, 405, 417 |
//! | 2 | Determine the host, and look it up in one snapshot of the table | `host.rs`, `route.rs`, `table.rs` | 400 |
//! | 2a | Answer `OPTIONS` | `cors.rs` | 204 |
//! | 3 | Answer the health path, on any host or none, and challenges of certificate authorities | `health.rs`, `challenges.rs` | 200, 503, 404 |
//! | 3a | With TLS: refuse a host that the certificate of the connection is not for. Without: redirect to `https` a host that has a certificate, unless its site answers without TLS too | `redirect.rs` | 421, 308 |
//! | 4 | Route: take the channel of the host, else look among the releases | `redirect.rs`, `release_hosts.rs` | 404, 503, 308 |
//! | 5 | Decode the path | `decision.rs`, `request_path.rs` | 400 |
//! | 5a | Find the redirect rule that applies | `rules.rs` | |
//! | 6 | Resolve the path to a resource of the channel, or as the rule says | `resolve.rs`, `asset.rs` | |
//! | 6a | Check the password of the path and of the resource | `password.rs` | 401 |
//! | 6b | End service workers of earlier releases, redirect, or miss | `former_worker.rs` | 200, 3xx, 404, 410 |
//! | 7 | Build the response head | `site.rs`, `response_head.rs` | |
//! | 7a | – select the page or its Markdown twin | `accept.rs` | |
//! | 7b | – read `Range` | `range.rs` | |
//! | 7c | – negotiate the content coding | `negotiate.rs` | |
//! | 7d | – evaluate the preconditions | `conditional.rs` | 412, 304 |
//! | 7e | – apply the range, if `If-Range` allows it | `conditional.rs`, `range.rs` | 416 |
//! | 7f | – set the headers of the content | `repr_digest.rs` | |
//! | 8 | Respond: common headers, headers by rule, then the blobs from the cache | `respond.rs`, `body.rs` | 200, 206, 502, 503 |
//!
//! Responses of steps 1 to 6 are made in `builtin_responses.rs`, except that a site's own `404.html` passes steps 7 and 8. Header
//! names and values that are the same for many responses are in `common_headers.rs`.
//!
//! Steps 5 to 7 need nothing but manifests: `explain.rs` runs them where there is no edge.
//!
//! Steps 1 to 7 are synchronous functions of their arguments, and take no lock. A request whose first blob is in memory is
//! answered without waiting for anything.

mod accept;
mod asset;
mod body;
mod builtin_responses;
mod common_headers;
mod conditional;
mod cors;
mod decision;
mod explain;
mod former_worker;
mod framing;
pub mod fuzzing;
mod health;
mod host;
#[cfg(test)]
mod invariant_tests;
mod negotiate;
mod password;
mod range;
mod redirect;
mod repr_digest;
mod request_path;
mod resolve;
mod respond;
mod response_head;
mod route;
mod rules;
mod site;
mod weight;

use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;
use futures_util::FutureExt as _;
use http::{Method, Request, Response, Version};
use http_body::Body;
use hyper::body::Incoming;
use verge_daemon::Clock;
use verge_daemon::http_server::Connection;
use verge_daemon::tls::{Certificates, TlsSession};
use verge_protocol::DomainName;
use verge_protocol::health::HEALTH_PATH;

use self::body::ResponseBody;
use self::builtin_responses::BuiltinResponse;
use self::common_headers::CommonHeaders;
use self::decision::Decision;
use self::framing::End;
use self::host::{Host, HostError};
use self::respond::{ResponseFuture, RuledHeaders};
use self::route::Route;
use self::rules::SiteHost;
use crate::access_log::{AccessLog, OpenEntry};
use crate::cache::BlobCache;
use crate::challenges::{ChallengeAnswer, Challenges};
use crate::metrics::{CacheResult, Metrics, Traffic};
use crate::release_hosts::{ReleaseHost, ReleaseHosts, Unloaded};
use crate::status::ServingStatus;
use crate::table::{Channel, HeaderScope, HostRoute, Table};

pub(crate) use self::asset::Destination;
pub use self::explain::{Cause, Explanation, HostFacts, HostModel};
pub(crate) use self::request_path::RequestPath;
pub(crate) use self::resolve::{Resolution, resolve};

/// The port of `https` URLs without one (RFC 9110 §4.2.2).
pub(crate) const HTTPS_PORT: u16 = 443;

/// Answers the readers of all public listeners. Clones share it.
#[derive(Clone)]
pub(crate) struct ReaderService(Arc<Shared>);

/// Serves one connection. Clones share it.
#[derive(Clone)]
pub(crate) struct ConnectionService {
    shared: Arc<Shared>,
    connection: Arc<ReaderConnection>,
}

/// What a connection of a reader brings to its requests.
struct ReaderConnection {
    /// The address of the client.
    remote: IpAddr,
    /// What TLS was established for; `None` without TLS.
    tls: Option<TlsSession>,
    /// The blobs, with the share of the reader's address.
    blobs: BlobCache,
}

/// What readers are served from.
pub(crate) struct Sources {
    pub(crate) table: Arc<ArcSwap<Table>>,
    pub(crate) release_hosts: ReleaseHosts,
    pub(crate) blobs: BlobCache,
    pub(crate) challenges: Challenges,
    /// `None`: there is no TLS.
    pub(crate) https: Option<Https>,
}

/// Where the same hosts are served over TLS.
pub(crate) struct Https {
    pub(crate) certificates: Arc<Certificates>,
    /// The port for readers.
    pub(crate) port: u16,
    pub(crate) clock: Clock,
}

struct Shared {
    sources: Sources,
    base_domains: Vec<DomainName>,
    status: ServingStatus,
    common_headers: Arc<CommonHeaders>,
    access_log: Option<AccessLog>,
    /// Counts requests without a site.
    unrouted: Arc<Traffic>,
}

impl ReaderService {
    pub(crate) fn new(
        sources: Sources,
        base_domains: Vec<DomainName>,
        status: ServingStatus,
        metrics: &Metrics,
        access_log: Option<AccessLog>,
    ) -> Self {
        let common_headers = Arc::new(CommonHeaders::new(&status.edge));
        let unrouted = Arc::clone(&metrics.unrouted);
        Self(Arc::new(Shared { sources, base_domains, status, common_headers, access_log, unrouted }))
    }

    /// The service of a connection. `limited` is the address whose readers share what an address may take; `None` if there is no limit.
    pub(crate) fn for_connection(&self, connection: Connection, limited: Option<IpAddr>) -> ConnectionService {
        let blobs = &self.0.sources.blobs;
        let blobs = limited.map_or_else(|| blobs.clone(), |address| blobs.for_readers_of(address));
        let connection = ReaderConnection { remote: connection.peer.ip(), tls: connection.tls, blobs };
        ConnectionService { shared: Arc::clone(&self.0), connection: Arc::new(connection) }
    }
}

impl hyper::service::Service<Request<Incoming>> for ConnectionService {
    type Response = Response<ResponseBody>;
    type Error = std::convert::Infallible;
    type Future = ResponseFuture;

    fn call(&self, request: Request<Incoming>) -> ResponseFuture {
        let (head, body) = request.into_parts();
        let head = Request::from_parts(head, ());
        let entry = self.shared.log_entry(&head, &self.connection);
        let end = if body.is_end_stream() { End::WithoutBody } else { End::WithBody };
        // HTTP/1.1 says before a body that there is one. HTTP/2 need not, and need not say that there is none.
        if end == End::WithoutBody || head.version() != Version::HTTP_2 || !framing::declares_no_body(head.headers()) {
            return self.shared.answer(&head, end, &self.connection, entry);
        }
        let service = self.clone();
        let response = async move {
            let end = framing::end_of(body).await;
            let Ok(response) = service.shared.answer(&head, end, &service.connection, entry).await;
            response
        };
        ResponseFuture::pending(response.boxed())
    }
}

impl Shared {
    /// The entry of a request in the access log, if it is logged: all are, but for those of the health page, which monitors and name servers
    /// request every few seconds.
    fn log_entry<B>(&self, request: &Request<B>, connection: &ReaderConnection) -> Option<OpenEntry> {
        let log = self.access_log.as_ref().filter(|_| request.uri().path() != HEALTH_PATH)?;
        Some(log.begin(request, connection.remote, connection.tls.as_ref().map(|tls| tls.version)))
    }

    /// Notes the site and channel of a host.
    fn note_host(&self, entry: &mut OpenEntry, route: &Route<'_>) {
        match (route.entry.traffic(), route.label) {
            (Some(traffic), _) => {
                entry.set_host(traffic.site(), route.entry.served().map(|channel| &channel.label().channel));
            }
            (None, Some(label)) => {
                if let Some(site) = self.sources.release_hosts.site(label) {
                    entry.set_host(site.as_str(), None);
                }
            }
            (None, None) => {}
        }
    }

    /// Answers a request, and logs it in `entry`.
    fn answer<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        end: End,
        connection: &ReaderConnection,
        mut entry: Option<OpenEntry>,
    ) -> ResponseFuture {
        self.answer_host(request, end, connection, entry.as_mut()).with_entry(entry)
    }

    /// All steps, with `entry` to note the host in.
    fn answer_host<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        end: End,
        connection: &ReaderConnection,
        entry: Option<&mut OpenEntry>,
    ) -> ResponseFuture {
        let headers = request.headers();
        let builtin = |response| self.builtin(response, request, &self.unrouted);
        // 1. Framing and method.
        if let Err(error) = framing::check(request.method(), request.uri(), headers, end) {
            return builtin(builtin_responses::framing_error(error, request.version())).not_indexed();
        }
        // 2. Host.
        let host = match host::parse(request.uri(), headers, request.version()) {
            Ok(host) => host,
            Err(HostError::Missing) if request.uri().path() == HEALTH_PATH => {
                return builtin(health::response(&self.status)).not_indexed();
            }
            Err(_) => return builtin(builtin_responses::invalid_host()).not_indexed(),
        };
        let table = self.sources.table.load();
        let route = Route::find(&table, &self.base_domains, &host.name);
        if let Some(entry) = entry {
            self.note_host(entry, &route);
        }
        let response = self.answer_at(&host, &route, request, connection);
        if route.is_indexed() { response } else { response.not_indexed() }
    }

    /// Steps 2a to 8.
    fn answer_at<B>(
        self: &Arc<Self>,
        host: &Host<'_>,
        route: &Route<'_>,
        request: &Request<B>,
        connection: &ReaderConnection,
    ) -> ResponseFuture {
        let ReaderConnection { tls, blobs, .. } = connection;
        let builtin = |response, traffic: &Arc<Traffic>| self.builtin(response, request, traffic);
        let path = request.uri().path();
        // 2a. `OPTIONS`.
        if request.method() == Method::OPTIONS {
            let is_of_site = path != HEALTH_PATH && route.may_have_site();
            let is_preflight = is_of_site && cors::is_preflight(request.headers());
            let response = builtin_responses::options(is_preflight);
            let response = builtin(response, route.entry.traffic().unwrap_or(&self.unrouted));
            let channel = route.entry.served().filter(|_| is_preflight);
            return response.with_rules(
                channel.and_then(|channel| RuledHeaders::find(channel, path, HeaderScope::Preflight, tls.is_some())),
            );
        }
        // 3. Health.
        if path == HEALTH_PATH {
            return builtin(health::response(&self.status), &self.unrouted);
        }
        if let Some(token) = path.strip_prefix(Challenges::PATH) {
            match self.sources.challenges.answer(&host.name, token) {
                ChallengeAnswer::Authorization(text) => {
                    return builtin(builtin_responses::challenge(text), &self.unrouted);
                }
                ChallengeAnswer::UnknownToken => return builtin(builtin_responses::not_found_text(), &self.unrouted),
                // A site may have a file there.
                ChallengeAnswer::NoChallenge => {}
            }
        }
        // 3a. TLS.
        match tls {
            Some(tls) if tls.server_name.as_deref() != Some(&*host.name) && !tls.certificate.covers(&host.name) => {
                return builtin(builtin_responses::misdirected(), &self.unrouted);
            }
            None if !path.starts_with(Challenges::PATH) && !route.is_tls_optional() => {
                if let Some((domain, port)) = self.secured(&host.name) {
                    let location = redirect::https_location(&domain, port, request.uri());
                    let response = location.map_or_else(builtin_responses::invalid_path, builtin_responses::to_https);
                    // Whoever asks without TLS learns too which release is served here.
                    let response = match route.entry.served() {
                        Some(channel) => response.with_release(channel.release()),
                        None => response,
                    };
                    return builtin(response, &self.unrouted);
                }
            }
            _ => {}
        }
        // 4. Route.
        let (is_tls, is_preview) = (tls.is_some(), !route.is_indexed());
        let site = SiteHost { name: &host.name, port: host.port, is_tls, is_preview };
        let response = match (route.entry, route.label) {
            (HostRoute::Served(channel), _) => self.answer_from(channel, &site, request, blobs),
            (HostRoute::Pending(Some(traffic)), _) => builtin(builtin_responses::pending().of_site(), traffic),
            (HostRoute::Redirect(redirect), _) => {
                let response = builtin_responses::redirect(redirect.to(), host.port, request.uri());
                builtin(response.of_site(), redirect.traffic())
            }
            (entry @ (HostRoute::Pending(None) | HostRoute::NotFound), label) => {
                match label.map_or(ReleaseHost::Unknown, |label| self.sources.release_hosts.find(label)) {
                    ReleaseHost::Loaded(channel) => self.answer_from(&channel, &site, request, blobs),
                    ReleaseHost::Unloaded(release) => self.answer_when_loaded(release, &site, request, blobs),
                    ReleaseHost::Unknown if matches!(entry, HostRoute::NotFound) => {
                        builtin(builtin_responses::unknown_host(request.headers()), &self.unrouted)
                    }
                    ReleaseHost::Unknown => builtin(builtin_responses::pending(), &self.unrouted),
                }
            }
        };
        response.with_hsts(tls.as_ref().and_then(|_| route.https?.hsts()))
    }

    /// A response that the edge makes itself, counted in `traffic`.
    fn builtin<B>(&self, response: BuiltinResponse, request: &Request<B>, traffic: &Traffic) -> ResponseFuture {
        traffic.count_response(response.status(), CacheResult::None);
        ResponseFuture::ready(response.into_response(request.method() == Method::HEAD, &self.common_headers))
    }

    /// The domain and the port for a host that has a valid certificate; the port is `None` if it is that of `https`.
    fn secured(&self, host: &str) -> Option<(DomainName, Option<u16>)> {
        let https = self.sources.https.as_ref()?;
        https.certificates.find(host).filter(|certificate| certificate.is_valid_at(https.clock.now()))?;
        // A wildcard covers labels that are no part of a domain name.
        Some((host.parse().ok()?, Some(https.port).filter(|port| *port != HTTPS_PORT)))
    }

    /// Steps 5 to 8, for a host that serves `channel`.
    fn answer_from<B>(
        &self,
        channel: &Channel,
        host: &SiteHost<'_>,
        request: &Request<B>,
        blobs: &BlobCache,
    ) -> ResponseFuture {
        let decision = Decision::make(channel, host, request);
        let send = |head| respond::respond(head, channel, blobs, &self.common_headers);
        site::answer(decision, channel, host, request, &self.common_headers, send)
    }

    /// As [`Self::answer_from`], once the release is loaded.
    fn answer_when_loaded<B>(
        self: &Arc<Self>,
        release: Unloaded,
        host: &SiteHost<'_>,
        request: &Request<B>,
        blobs: &BlobCache,
    ) -> ResponseFuture {
        let (shared, blobs) = (Arc::clone(self), blobs.clone());
        let mut head = Request::new(());
        *head.method_mut() = request.method().clone();
        *head.uri_mut() = request.uri().clone();
        *head.headers_mut() = request.headers().clone();
        let (name, port, is_tls, is_preview) = (host.name.to_owned(), host.port, host.is_tls, host.is_preview);
        let response = async move {
            let host = SiteHost { name: &name, port, is_tls, is_preview };
            match release.load().await {
                Ok(channel) => {
                    shared.answer_from(&channel, &host, &head, &blobs).await.unwrap_or_else(|never| match never {})
                }
                Err(unavailable) => {
                    let response = builtin_responses::unavailable(unavailable).of_site();
                    shared.unrouted.count_response(response.status(), CacheResult::None);
                    response.into_response(head.method() == Method::HEAD, &shared.common_headers)
                }
            }
        };
        ResponseFuture::pending(response.boxed())
    }
}
