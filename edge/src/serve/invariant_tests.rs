//! What holds for every request to every manifest.
//!
//! The pipeline runs as it is, with all blobs in memory: nothing is waited for, so thousands of requests take a second.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::io::Read as _;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http_body::Body as _;
use percent_encoding::percent_decode_str;
use prometheus_client::registry::Registry;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use proptest::test_runner::{Config, TestCaseResult, TestRunner};
use tokio::sync::watch;
use verge_daemon::origins::Origins;
use verge_daemon::{Secret, Tasks};
use verge_protocol::manifest::File;
use verge_protocol::{Coding, Content, Digest, Fallback, HtmlPaths, Lifetime, Manifest, ReleaseNumber, SitePath};
use verge_test_kit::{TOKEN, noise};

use super::*;
use crate::erased_contents::ErasedContents;
use crate::metrics::Metrics;
use crate::release_hosts::Releases;
use crate::status::AppliedState;
use crate::store::{BlockingStore, Store};
use crate::table::InheritedReleases;
use crate::test_support::{resources, serving_status, traffic};
use crate::upstream::Upstream;

/// The bytes that files have, and their encodings.
struct Original {
    bytes: Bytes,
    encodings: BTreeMap<Coding, Bytes>,
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
            Original { bytes: Bytes::copy_from_slice(bytes), encodings }
        })
        .into()
}

fn decoded(coding: Option<&str>, body: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    match coding {
        None => plain = body.to_vec(),
        Some("br") => brotli::BrotliDecompress(&mut &body[..], &mut plain).unwrap(),
        Some("gzip") => drop(flate2::read::GzDecoder::new(body).read_to_end(&mut plain).unwrap()),
        Some(other) => panic!("{other}"),
    }
    plain
}

/// A file of a generated manifest.
#[derive(Debug, Clone)]
struct TestFile {
    original: usize,
    codings: Vec<Coding>,
    is_immutable: bool,
}

#[derive(Debug, Clone)]
struct Site {
    files: BTreeMap<String, TestFile>,
    is_single_page: bool,
    keeps_addresses: bool,
}

impl Site {
    fn manifest(&self, originals: &[Original]) -> Manifest {
        let content = |bytes: &Bytes| Content::cut(bytes).0;
        let file = |(path, file): (&String, &TestFile)| {
            let original = &originals[file.original];
            let encodings = file.codings.iter().map(|coding| (*coding, content(&original.encodings[coding])));
            let lifetime = if file.is_immutable { Lifetime::Immutable } else { Lifetime::Revalidate };
            let file = File {
                media_type: media_type(path).to_owned(),
                lifetime,
                fingerprinted: file.is_immutable,
                identity: content(&original.bytes),
                content_encoding: None,
                encodings: encodings.collect(),
            };
            (path.parse::<SitePath>().unwrap(), file)
        };
        let fallback = if self.is_single_page {
            Fallback::SinglePage { path: "index.html".parse().unwrap() }
        } else {
            Fallback::NotFound
        };
        Manifest {
            site: "demo".parse().unwrap(),
            fallback,
            files: self.files.iter().map(file).collect(),
            former_scripts: None,
            html: if self.keeps_addresses { HtmlPaths::Keep } else { HtmlPaths::Auto },
            rules: verge_protocol::Rules::default(),
        }
    }

    /// Whether a file has the path of a target, or that of a page is the target.
    fn has_page_or_file(&self, target: &str) -> bool {
        let path = target.split('?').next().unwrap_or_default();
        let path = percent_decode_str(path).decode_utf8_lossy().into_owned();
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let path = segments.join("/");
        ["", ".html", ".htm", "/index.html", "/index.htm"].iter().any(|suffix| {
            let name = format!("{path}{suffix}");
            self.files.contains_key(name.trim_start_matches('/'))
        })
    }
}

fn media_type(path: &str) -> &'static str {
    match path.rsplit_once('.') {
        Some((_, "html" | "htm")) => "text/html; charset=utf-8",
        Some((_, "md")) => "text/markdown; charset=utf-8",
        Some((_, "js")) => "text/javascript; charset=utf-8",
        Some((_, "woff2")) => "font/woff2",
        _ => "application/octet-stream",
    }
}

/// A request for `demo`. Each field is given at most once.
#[derive(Debug, Clone)]
struct TestRequest {
    method: &'static str,
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

    fn varies_by(&self, name: &str) -> bool {
        self.field("vary").is_some_and(|vary| vary.split(", ").any(|field| field.eq_ignore_ascii_case(name)))
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
        let store = Store::new(BlockingStore::open_for_test(directory, 0), tasks.clone());
        // Nothing is requested.
        let origins = Origins::new(Vec::new(), None, &Secret::new(TOKEN), "test", metrics.upstream_failures.clone());
        let upstream = Upstream::new(origins.unwrap(), metrics.clone());
        let blobs = BlobCache::new(64 << 20, store.clone(), upstream.clone(), tasks.clone());
        let release_hosts =
            ReleaseHosts::new(Releases::default(), ErasedContents::default(), store, upstream, metrics.clone(), tasks);
        let originals = originals();
        for original in &originals {
            for bytes in std::iter::once(&original.bytes).chain(original.encodings.values()) {
                Content::cut(bytes).1.into_iter().for_each(|blob| blobs.insert(blob));
            }
        }
        Self { originals, release_hosts, blobs, metrics }
    }

    fn serve(&self, site: &Site) -> ReaderService {
        let own = resources(site.manifest(&self.originals));
        let label = "demo".parse().unwrap();
        let channel = Channel::new(label, ReleaseNumber(1), own, InheritedReleases::default(), traffic());
        let sources = Sources {
            table: Arc::new(ArcSwap::from_pointee(Table::new([channel].into_iter(), std::iter::empty(), true))),
            release_hosts: self.release_hosts.clone(),
            blobs: self.blobs.clone(),
            challenges: Challenges::default(),
            https: None,
        };
        let status = serving_status(&watch::Sender::new(AppliedState::default()));
        ReaderService::new(sources, vec!["localhost".parse().unwrap()], status, &self.metrics)
    }
}

/// The answer to a request whose target is a URI.
fn ask(service: &ReaderService, request: &TestRequest) -> Answer {
    let mut builder = Request::builder().method(request.method).uri(&request.target).header("host", "demo.localhost");
    for (name, value) in &request.fields {
        builder = builder.header(*name, value);
    }
    let request = builder.body(()).unwrap();
    let Ok(response) =
        service.shared.answer(&request, End::WithoutBody, None).now_or_never().expect("all blobs are in memory");
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

/// Status, fields and length belong together.
fn check_form(request: &TestRequest, answer: &Answer) -> TestCaseResult {
    prop_assert!([200, 206, 304, 308, 404, 405, 412, 416, 417].contains(&answer.status));
    prop_assert!(answer.field("cache-control").is_some() && answer.field("verge-edge").is_some());
    prop_assert_eq!(answer.field("location").is_some(), answer.status == 308);
    prop_assert_eq!(answer.field("content-range").is_some(), [206, 416].contains(&answer.status));
    prop_assert_eq!(answer.field("allow").is_some(), answer.status == 405);
    if answer.status >= 400 {
        prop_assert_eq!(answer.field("cache-control"), Some("no-store"));
        prop_assert_eq!(answer.field("etag"), None);
    }
    if answer.status == 304 {
        for name in ["content-length", "content-encoding", "content-type"] {
            prop_assert_eq!(answer.field(name), None);
        }
    } else {
        let length: usize = answer.field("content-length").unwrap().parse().unwrap();
        prop_assert!(answer.body.len() == length || (request.method == "HEAD" && answer.body.is_empty()));
        prop_assert!(length == 0 || answer.field("content-type").is_some());
    }
    Ok(())
}

/// There is one redirect at most, to the same site, with the same query.
fn check_redirect(service: &ReaderService, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    let Some(location) = answer.field("location") else { return Ok(()) };
    prop_assert!(location.starts_with('/') && !location.starts_with("//") && !location.contains('\\'));
    // What must be percent-encoded in a URI is.
    let query = |target: &str| {
        let (_, query) = target.split_once('?')?;
        Some(percent_decode_str(query).decode_utf8_lossy().into_owned())
    };
    prop_assert_eq!(query(location), query(&request.target));
    let target = location.to_owned();
    prop_assert_ne!(ask(service, &TestRequest { target, ..request.clone() }).status, 308);
    Ok(())
}

/// The tag is the digest of what is sent, and what is sent decodes to a file.
fn check_bytes(fixture: &Fixture, site: &Site, answer: &Answer) -> TestCaseResult {
    prop_assert_eq!(answer.field("etag").unwrap(), format!("\"{}\"", Digest::of(&answer.body)));
    if let Some(digest) = answer.field("repr-digest") {
        let expected = repr_digest::value(Digest::of(&answer.body));
        prop_assert_eq!(digest, expected.to_str().unwrap());
    }
    let plain = decoded(answer.field("content-encoding"), &answer.body);
    let is_sent = |(path, file): (&String, &TestFile)| {
        fixture.originals[file.original].bytes == plain && answer.field("content-type") == Some(media_type(path))
    };
    prop_assert!(site.files.iter().any(is_sent));
    Ok(())
}

/// Ranges are of the bytes without a coding, and together they are the file.
fn check_ranges(service: &ReaderService, request: &TestRequest, cuts: &[Index]) -> TestCaseResult {
    let request = request.without(&["range", "if-range"]);
    let whole = ask(service, &request.without(&["accept-encoding"]));
    let size = whole.body.len();
    if size == 0 {
        prop_assert_eq!(ask(service, &request.with("range", "bytes=0-")).status, 416);
        return Ok(());
    }
    let mut ends: Vec<usize> = cuts.iter().map(|cut| cut.index(size)).chain([0, size]).collect();
    ends.sort_unstable();
    ends.dedup();
    let mut joined = Vec::new();
    for span in ends.windows(2) {
        let request = request.with("range", format!("bytes={}-{}", span[0], span[1] - 1));
        let part = ask(service, &request);
        prop_assert_eq!((part.status, part.field("content-encoding")), (206, None));
        let range = format!("bytes {}-{}/{size}", span[0], span[1] - 1);
        prop_assert_eq!((part.field("content-range"), part.field("etag")), (Some(&*range), whole.field("etag")));
        // With the tag of what it is a part of, and with that of another.
        prop_assert_eq!(ask(service, &request.with("if-range", whole.field("etag").unwrap())), part);
        joined.extend_from_slice(&ask(service, &request).body);
        prop_assert_eq!(ask(service, &request.with("if-range", "\"other\"")).status, 200);
    }
    prop_assert!(joined == whole.body);
    prop_assert_eq!(ask(service, &request.with("range", format!("bytes={size}-"))).status, 416);
    Ok(())
}

/// The tag of a response answers later requests for the same.
fn check_preconditions(service: &ReaderService, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    let etag = answer.field("etag").unwrap();
    let request = request.without(&["if-match", "if-none-match"]);
    let unchanged = ask(service, &request.with("if-none-match", format!("\"x\", W/{etag}")));
    prop_assert_eq!(unchanged.status, 304);
    for name in ["etag", "vary", "cache-control", "verge-release"] {
        prop_assert_eq!(unchanged.field(name), answer.field(name));
    }
    prop_assert_eq!(&ask(service, &request.with("if-match", etag)), &ask(service, &request));
    prop_assert_eq!(ask(service, &request.with("if-match", "\"x\"").with("if-none-match", etag)).status, 412);
    Ok(())
}

/// A cache that keeps a response by its `Vary` never gives it to a request that would have got another one.
fn check_vary(service: &ReaderService, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    for (name, values) in [
        ("accept", &["", "text/html", "text/markdown"][..]),
        ("accept-encoding", &["", "br", "gzip"]),
        ("sec-fetch-dest", &["", "document", "script", "image"]),
        ("cookie", &["a=b"]),
        ("user-agent", &["a"]),
    ] {
        for value in values {
            let other = ask(service, &request.with(name, *value));
            let is_same = (other.status, &other.body, other.field("etag"), other.field("content-type"))
                == (answer.status, &answer.body, answer.field("etag"), answer.field("content-type"));
            prop_assert!(is_same || (answer.varies_by(name) && other.varies_by(name)), "{}: {:?}", name, value);
        }
    }
    Ok(())
}

/// A missing script or image is not answered with a page.
fn check_missing_assets(site: &Site, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    let path = request.target.split('?').next().unwrap_or_default();
    let destination = request.field("sec-fetch-dest");
    if [405, 417].contains(&answer.status) || site.has_page_or_file(&request.target) {
        return Ok(());
    }
    let is_asset = [".js", ".pdf", ".woff2", ".md"].iter().any(|extension| path.ends_with(extension));
    if is_asset && destination != "document" {
        prop_assert_eq!((answer.status, answer.is_html()), (404, false));
    }
    if ["script", "image"].contains(&destination) {
        prop_assert_eq!(answer.status, 404);
    }
    Ok(())
}

fn check(fixture: &Fixture, site: &Site, request: &TestRequest, cuts: &[Index]) -> TestCaseResult {
    let service = &fixture.serve(site);
    let answer = ask(service, request);
    check_form(request, &answer)?;
    prop_assert_eq!(&ask(service, request), &answer, "it depends on more than the request");
    check_redirect(service, request, &answer)?;
    check_vary(service, request, &answer)?;
    check_missing_assets(site, request, &answer)?;
    if !["GET", "HEAD"].contains(&request.method) {
        return Ok(());
    }
    let get = TestRequest { method: "GET", ..request.clone() }.without(&["range"]);
    let whole = ask(service, &get);
    let head = ask(service, &TestRequest { method: "HEAD", ..request.clone() });
    // Without a body no blob is read, so the cache has less to say.
    let fields = |answer: &Answer| {
        let fields = answer.fields.iter().filter(|(name, _)| *name != "cache-status");
        fields.map(|(name, value)| (name.clone(), value.clone())).collect::<Vec<_>>()
    };
    prop_assert_eq!((head.status, fields(&head), head.body.len()), (whole.status, fields(&whole), 0));
    let get = get.without(&["if-match", "if-none-match"]);
    let whole = ask(service, &get);
    if whole.status == 200 {
        check_bytes(fixture, site, &whole)?;
        check_preconditions(service, &get, &whole)?;
        check_ranges(service, &get, cuts)?;
    }
    Ok(())
}

fn sites() -> impl Strategy<Value = Site> {
    let codings = select(vec![vec![], vec![Coding::Br], vec![Coding::Gzip], vec![Coding::Br, Coding::Gzip]]);
    // Mostly small files, since each blob costs time.
    let file = (prop_oneof![20 => 0..4_usize, 1 => Just(4_usize)], codings, any::<bool>());
    let file = file.prop_map(|(original, codings, is_immutable)| TestFile { original, codings, is_immutable });
    let path = "(index|404|(a|b|ü|c<d)(/(a|index|404)){0,2})(|\\.html|\\.html|\\.htm|\\.md|\\.js|\\.woff2)";
    let files = prop::collection::btree_map(path, file, 1..10);
    (files, any::<bool>(), any::<bool>()).prop_map(|(files, is_single_page, keeps_addresses)| Site {
        files,
        is_single_page,
        keeps_addresses,
    })
}

/// A path that may be that of a file or a page, or of nothing at all.
fn targets(files: Vec<String>) -> impl Strategy<Value = String> {
    let mutated = (select(files), 0..8_u8, any::<Index>()).prop_map(|(path, mutation, at)| {
        let page = path.strip_suffix(".html").unwrap_or(&path).to_owned();
        let path = match mutation {
            0..3 => path,
            3 => page.strip_suffix("index").unwrap_or(&page).to_owned(),
            4 => page + "/",
            5 => page,
            6 => path.replacen('/', "//", 1),
            _ => path + "x",
        };
        // Any byte may be percent-encoded.
        let encoded = at.index(path.len().max(1));
        path.bytes().enumerate().fold("/".to_owned(), |mut target, (index, byte)| {
            if index == encoded && byte != b'/' || !(byte.is_ascii_alphanumeric() || b"/.-_".contains(&byte)) {
                write!(target, "%{byte:02x}").unwrap();
            } else {
                target.push(char::from(byte));
            }
            target
        })
    });
    let odd = "/(a|b|index|404|ü|/|\\.|\\.\\.|\\.html|\\.js|\\.pdf|%2f|%5c|%00|%ff|%|\\\\|\"|\\{|%41){0,6}";
    let target = prop_oneof![3 => mutated, 1 => odd];
    (target, "(|\\?|\\?q=%2F/&\\{x\\}|\\?//)").prop_map(|(path, query)| path + &query)
}

fn requests(files: Vec<String>) -> impl Strategy<Value = TestRequest> {
    let method = prop_oneof![16 => Just("GET"), 3 => Just("HEAD"), 1 => select(vec!["POST", "DELETE", "BREW"])];
    let optional = |name: &'static str, one_in: u32, value: &'static str| {
        prop_oneof![one_in - 1 => Just(None), 1 => value.prop_map(move |value| Some((name, value)))].boxed()
    };
    let media_types = "(text/(markdown|html|[*])|[*]/[*]|image/png)(;q=(0(\\.[0-9])?|1))?(, text/(markdown|html|[*])(;q=0\\.[0-9])?){0,2}";
    let codings = "(br|gzip|[*]|identity|zstd)(;q=(0(\\.[0-9])?|1))?(,(br|gzip|[*]|identity)(;q=0\\.[0-9])?){0,2}";
    let fields = vec![
        optional("accept", 2, media_types),
        optional("accept-encoding", 2, codings),
        optional("sec-fetch-dest", 3, "document|script|image|empty"),
        optional(
            "range",
            3,
            "bytes=[0-9]{1,2}-|bytes=-[0-9]|bytes=[0-9]-[0-9]{1,4}|[0-9]{0,3}-[0-9]{0,3}(,5-6)?|items=0-5",
        ),
        optional("if-none-match", 8, "[*]|\"x\"|W/\"y\", \"z"),
        optional("if-match", 8, "[*]|\"x\""),
        optional("if-range", 8, "\"x\"|Sat, 29 Oct 1994 19:43:31 GMT"),
        optional("expect", 10, "100-continue|x"),
        optional("want-repr-digest", 5, "sha-256=[0-9]"),
    ];
    (method, targets(files), fields).prop_map(|(method, target, fields)| TestRequest {
        method,
        target,
        fields: fields.into_iter().flatten().collect(),
    })
}

#[test]
fn answers_to_any_request_to_any_manifest_keep_the_invariants() {
    let directory = tempfile::tempdir().unwrap();
    let fixture = Fixture::new(directory.path());
    let cases = sites().prop_flat_map(|site| {
        let files = site.files.keys().cloned().collect();
        (Just(site), requests(files), prop::collection::vec(any::<Index>(), 0..4))
    });
    let mut statuses = HashMap::new();
    let statuses_seen = std::cell::RefCell::new(&mut statuses);
    let config = Config { cases: 1000, failure_persistence: None, ..Config::default() };
    let result = TestRunner::new(config).run(&cases, |(site, request, cuts)| {
        // hyper refuses it, or `daemon/src/request_targets.rs` has encoded it.
        prop_assume!(request.target.parse::<http::Uri>().is_ok());
        let status = ask(&fixture.serve(&site), &request).status;
        *statuses_seen.borrow_mut().entry(status).or_insert(0) += 1;
        check(&fixture, &site, &request, &cuts)
    });
    if let Err(failure) = result {
        panic!("{failure}");
    }
    // What is not asked for is not tested.
    for status in [200, 206, 304, 308, 404, 405, 412, 416, 417] {
        assert!(statuses.get(&status).is_some_and(|count| *count >= 3), "{status} is rare: {statuses:?}");
    }
}
