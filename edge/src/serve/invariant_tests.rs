//! What holds for every request to every manifest, with rules and without.
//!
//! - A response is well-formed: status, fields and length belong together, and no field is there twice (`response_checks.rs`).
//! - Ranges together are the file, coded bodies decode to it, and the entity tag is the digest of what is sent; it answers later requests.
//! - Without a rule there is at most one redirect, to a file. A redirect leads to the site itself, or to a host that a rule spells out
//!   (`redirect_checks.rs`).
//! - One rule is never a loop, whatever the edge redirects besides. Two or more are, if each redirects on where another leads to (`/a /b` and
//!   `/b /a`, `/a/* /b/:splat` and `/b/* /a/:splat`): that is what the site says, and what its push warns about.
//! - HTML never answers for a missing script, style or image with a success, unless a rule with status 200 is for just this path. A rule with
//!   status 4xx may answer with a page, and this status. A pattern may answer with a file that is no page (`miss_checks.rs`).
//! - Header rules apply to all but redirects and refused requests, and describe no file but that of their path (`header_checks.rs`).
//! - What has a password is sent to nobody without it, and not kept by shared caches; otherwise passwords change nothing
//!   (`password_checks.rs`).
//!
//! The pipeline runs as it is, with all blobs in memory: nothing is waited for, so thousands of requests take a second.

mod header_checks;
mod miss_checks;
mod password_checks;
mod redirect_checks;
mod response_checks;
mod rule_strategies;
mod site;
mod strategies;

use std::collections::{BTreeMap, HashMap};
use std::io::Read as _;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body::Body as _;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::sync::watch;
use verge_daemon::Tasks;
use verge_protocol::rules::{Redirect, RuleRequest, SplitPath};
use verge_protocol::{Coding, Content, ReleaseNumber};
use verge_test_kit::noise;

use self::site::{Site, TestFile};
use super::resolve::Unresolved;
use super::*;
use crate::erased_contents::ErasedContents;
use crate::metrics::Metrics;
use crate::release_hosts::Releases;
use crate::status::AppliedState;
use crate::table::InheritedReleases;
use crate::test_support::{resources, serving_status, sources, traffic};

/// The bytes that files have, and their encodings.
struct Original {
    identity: Stored,
    encodings: BTreeMap<Coding, Stored>,
}

struct Stored {
    bytes: Bytes,
    content: Content,
}

impl From<Vec<u8>> for Stored {
    fn from(bytes: Vec<u8>) -> Self {
        let bytes = Bytes::from(bytes);
        Self { content: Content::cut(&bytes).0, bytes }
    }
}

/// Files with no, few, many bytes, and with several blobs.
fn originals() -> Vec<Original> {
    let text = "All that an edge answers with is in a manifest. ".repeat(40);
    let large = noise(7, 300_000);
    [&b""[..], b"x", b"short", text.as_bytes(), &large]
        .map(|bytes| {
            let (mut br, mut gzip) = (Vec::new(), Vec::new());
            let fast = brotli::enc::BrotliEncoderParams { quality: 1, ..Default::default() };
            brotli::BrotliCompress(&mut &bytes[..], &mut br, &fast).unwrap();
            flate2::read::GzEncoder::new(bytes, flate2::Compression::fast()).read_to_end(&mut gzip).unwrap();
            let encodings = BTreeMap::from([(Coding::Br, br.into()), (Coding::Gzip, gzip.into())]);
            Original { identity: bytes.to_vec().into(), encodings }
        })
        .into()
}

/// A request for the site. Each field is given at most once.
#[derive(Debug, Clone)]
struct TestRequest {
    method: &'static str,
    /// With its port.
    host: String,
    target: String,
    fields: BTreeMap<&'static str, String>,
}

impl TestRequest {
    fn with(&self, name: &'static str, value: impl Into<String>) -> Self {
        let mut request = self.clone();
        request.fields.insert(name, value.into());
        request
    }

    fn without(&self, names: &[&str]) -> Self {
        let mut request = self.clone();
        request.fields.retain(|name, _| !names.contains(name));
        request
    }

    fn field(&self, name: &str) -> &str {
        self.fields.get(name).map_or("", String::as_str)
    }

    fn uri(&self) -> Uri {
        self.target.parse().unwrap()
    }

    fn headers(&self) -> HeaderMap {
        let header = |(name, value): (&&'static str, &String)| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
        };
        self.fields.iter().map(header).collect()
    }

    fn site_host(&self) -> SiteHost<'_> {
        let (name, port) = self.host.split_once(':').map_or((&*self.host, None), |(name, port)| (name, Some(port)));
        SiteHost { name, port: port.map(|port| port.parse().unwrap()), is_tls: false, is_preview: false }
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    fields: BTreeMap<String, String>,
    body: Bytes,
}

impl Answer {
    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    fn is_html(&self) -> bool {
        self.field("content-type").is_some_and(|media_type| media_type.starts_with("text/html"))
    }

    fn is_redirect(&self) -> bool {
        [301, 302, 303, 307, 308].contains(&self.status)
    }

    /// Refused before its path was looked at.
    fn is_refused(&self) -> bool {
        [405, 417].contains(&self.status)
    }

    fn varies_by(&self, name: &str) -> bool {
        self.field("vary").is_some_and(|vary| vary.split(", ").any(|field| field.eq_ignore_ascii_case(name)))
    }

    fn has_directive(&self, name: &str) -> bool {
        self.field("cache-control").is_some_and(|value| value.split(", ").any(|directive| directive == name))
    }
}

/// What is the same for all sites.
struct Fixture {
    originals: Vec<Original>,
    release_hosts: ReleaseHosts,
    blobs: BlobCache,
    metrics: Metrics,
}

impl Fixture {
    fn new(directory: &std::path::Path) -> Self {
        let metrics = Metrics::new(&mut Registry::default());
        let tasks = Tasks::default();
        let (store, upstream) = sources(directory, &metrics, &tasks);
        let blobs = BlobCache::new(64 << 20, 64 << 20, &store, &upstream, &tasks);
        let release_hosts =
            ReleaseHosts::new(Releases::default(), ErasedContents::default(), store, upstream, metrics.clone(), tasks);
        let originals = originals();
        for original in &originals {
            for stored in std::iter::once(&original.identity).chain(original.encodings.values()) {
                Content::cut(&stored.bytes).1.into_iter().for_each(|blob| blobs.insert(blob));
            }
        }
        Self { originals, release_hosts, blobs, metrics }
    }

    fn channel(&self, site: &Site) -> Channel {
        let own = resources(site.manifest(&self.originals));
        Channel::new("demo".parse().unwrap(), ReleaseNumber(1), own, InheritedReleases::default(), traffic())
    }

    fn serve(&self, site: &Site) -> ConnectionService {
        let channel = self.channel(site);
        let sources = Sources {
            table: Arc::new(ArcSwap::from_pointee(Table::new([channel].into_iter(), std::iter::empty(), true))),
            release_hosts: self.release_hosts.clone(),
            blobs: self.blobs.clone(),
            challenges: Challenges::default(),
            https: None,
        };
        let status = serving_status(&watch::Sender::new(AppliedState::default()));
        let domains = vec!["localhost".parse().unwrap()];
        let readers = ReaderService::new(sources, domains, status, &self.metrics, None);
        let peer = SocketAddr::from(([127, 0, 0, 1], 1));
        readers.for_connection(Connection { peer, tls: None }, None)
    }
}

/// A site that is served, and what decides its responses.
struct Case<'a> {
    fixture: &'a Fixture,
    site: &'a Site,
    service: ConnectionService,
    channel: Channel,
}

impl<'a> Case<'a> {
    fn new(fixture: &'a Fixture, site: &'a Site) -> Self {
        Self { fixture, site, service: fixture.serve(site), channel: fixture.channel(site) }
    }

    /// The answer to a request whose target is a URI.
    fn ask(&self, request: &TestRequest) -> Answer {
        ask(&self.service, request)
    }

    /// What answers the path of a request.
    fn resolution(&self, request: &TestRequest) -> Result<Resolution, Unresolved> {
        let (uri, headers) = (request.uri(), request.headers());
        let rule = rules::find(self.channel.own().rules().redirects(), &uri, &request.site_host());
        resolve(&self.channel, &RequestPath::parse(uri.path()).unwrap(), rule, || asset::destination(&headers))
    }

    /// The number of the first redirect rule that applies to a request, whether or not there is a file.
    fn rule_index(&self, request: &TestRequest) -> Option<usize> {
        let (uri, host) = (request.uri(), request.site_host());
        let path = SplitPath::new(uri.path());
        let request = RuleRequest::new("http", host.name, host.port, &path, uri.query());
        self.site.redirects.iter().position(|rule| rule.captures(&request).is_some())
    }

    fn rule(&self, request: &TestRequest) -> Option<&Redirect> {
        self.rule_index(request).map(|index| &self.site.redirects[index])
    }
}

fn ask(service: &ConnectionService, request: &TestRequest) -> Answer {
    let mut builder = Request::builder().method(request.method).uri(&request.target).header("host", &request.host);
    for (name, value) in &request.fields {
        builder = builder.header(*name, value);
    }
    let request = builder.body(()).unwrap();
    let answer = service.shared.answer(&request, End::WithoutBody, &service.connection, None);
    let Ok(response) = answer.now_or_never().expect("all blobs are in memory");
    let mut fields = BTreeMap::new();
    for (name, value) in response.headers() {
        let twice = fields.insert(name.to_string(), value.to_str().unwrap().to_owned());
        assert_eq!(twice, None, "{name} is there twice");
    }
    let (status, mut body, mut bytes) = (response.status().as_u16(), pin!(response.into_body()), Vec::new());
    let context = &mut Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(frame)) = Pin::as_mut(&mut body).poll_frame(context) {
        bytes.extend_from_slice(&frame.unwrap().into_data().unwrap());
    }
    assert!(body.is_end_stream(), "all blobs are in memory");
    Answer { status, fields, body: bytes.into() }
}

fn check(case: &Case<'_>, request: &TestRequest, cuts: &[Index]) -> TestCaseResult {
    let answer = case.ask(request);
    response_checks::check_form(request, &answer)?;
    prop_assert_eq!(&case.ask(request), &answer, "it depends on more than the request");
    redirect_checks::check(case, request)?;
    response_checks::check_vary(&case.service, request, &answer)?;
    miss_checks::check(case, request, &answer)?;
    header_checks::check(case, request, &answer)?;
    password_checks::check(case, request, &answer)?;
    if !["GET", "HEAD"].contains(&request.method) {
        return Ok(());
    }
    let get = TestRequest { method: "GET", ..request.clone() }.without(&["range"]);
    let whole = case.ask(&get);
    let head = case.ask(&TestRequest { method: "HEAD", ..request.clone() });
    // Without a body no blob is read, so the cache has less to say.
    let fields = |answer: &Answer| {
        let fields = answer.fields.iter().filter(|(name, _)| *name != "cache-status");
        fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    prop_assert_eq!((head.status, fields(&head), head.body.len()), (whole.status, fields(&whole), 0));
    let get = get.without(&["if-match", "if-none-match"]);
    let whole = case.ask(&get);
    if whole.status == 200 {
        response_checks::check_bytes(case, &get, &whole)?;
        response_checks::check_preconditions(&case.service, &get, &whole)?;
        response_checks::check_ranges(&case.service, &get, cuts)?;
    }
    Ok(())
}

#[test]
fn answers_to_any_request_to_any_manifest_keep_the_invariants() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(directory.path());
    let cases = strategies::sites().prop_flat_map(|site| {
        let requests = strategies::requests(&site);
        (Just(site), requests, prop::collection::vec(any::<Index>(), 0..4))
    });
    let mut statuses = HashMap::new();
    let statuses_seen = std::cell::RefCell::new(&mut statuses);
    let config = Config { cases: 1200, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&cases, |(site, request, cuts)| {
        // hyper refuses it, or `daemon/src/http_server/request_targets.rs` has encoded it.
        prop_assume!(request.target.parse::<Uri>().is_ok());
        let case = Case::new(&fixture, &site);
        *statuses_seen.borrow_mut().entry(case.ask(&request).status).or_insert(0) += 1;
        check(&case, &request, &cuts)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // What is not asked for is not tested.
    for status in [200, 206, 301, 302, 304, 308, 401, 404, 405, 410, 412, 416, 417] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 3), "{status} is rare: {statuses:?}");
    }
}
