//! A response by itself, and with others to the same request: its form, bytes, ranges, preconditions and `Vary`.

use verge_protocol::Digest;
use verge_protocol::rules::HeaderChange;

use super::*;

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

/// Status, fields and length belong together.
pub(super) fn check_form(request: &TestRequest, answer: &Answer) -> TestCaseResult {
    let of_rules = [301, 302, 303, 307, 401, 403, 410];
    prop_assert!(
        [200, 206, 304, 308, 404, 405, 412, 416, 417].iter().chain(&of_rules).any(|known| *known == answer.status)
    );
    prop_assert!(answer.field("cache-control").is_some() && answer.field("verge-edge").is_some());
    prop_assert_eq!(answer.field("location").is_some(), answer.is_redirect());
    prop_assert_eq!(answer.field("content-range").is_some(), [206, 416].contains(&answer.status));
    prop_assert_eq!(answer.field("allow").is_some(), answer.status == 405);
    prop_assert_eq!(answer.field("www-authenticate").is_some(), answer.status == 401);
    if answer.status >= 400 {
        prop_assert!(["no-store", "private, no-store"].contains(&answer.field("cache-control").unwrap()));
        prop_assert_eq!(answer.field("etag"), None);
    }
    if answer.status == 304 {
        for name in ["content-length", "content-encoding"] {
            prop_assert_eq!(answer.field(name), None);
        }
        // A type by rule is sent with it, so that a cache which has the bytes with an earlier type learns the new one.
        prop_assert!(answer.field("content-type").is_none_or(|media_type| media_type == "text/html"));
    } else {
        let length: usize = answer.field("content-length").unwrap().parse().unwrap();
        prop_assert!(answer.body.len() == length || (request.method == "HEAD" && answer.body.is_empty()));
        prop_assert!(length == 0 || answer.field("content-type").is_some());
    }
    Ok(())
}

/// The tag is the digest of what is sent, and what is sent decodes to a file.
pub(super) fn check_bytes(case: &Case<'_>, request: &TestRequest, answer: &Answer) -> TestCaseResult {
    prop_assert_eq!(answer.field("etag").unwrap(), format!("\"{}\"", Digest::of(&answer.body)));
    if let Some(digest) = answer.field("repr-digest") {
        let expected = repr_digest::value(Digest::of(&answer.body));
        prop_assert_eq!(digest, expected.to_str().unwrap());
    }
    let plain = decoded(answer.field("content-encoding"), &answer.body);
    let by_rule = case.site.header(request.uri().path(), "content-type").and_then(HeaderChange::value);
    let is_type = |path: &str| {
        let media_type = answer.field("content-type");
        media_type == Some(site::media_type(path)) || (by_rule.is_some() && media_type == by_rule)
    };
    let is_sent = |(path, file): (&String, &TestFile)| {
        case.fixture.originals[file.original].identity.bytes == plain && is_type(path)
    };
    prop_assert!(case.site.files.iter().any(is_sent));
    Ok(())
}

/// Ranges are of the bytes without a coding, and together they are the file.
pub(super) fn check_ranges(service: &ConnectionService, request: &TestRequest, cuts: &[Index]) -> TestCaseResult {
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
pub(super) fn check_preconditions(
    service: &ConnectionService,
    request: &TestRequest,
    answer: &Answer,
) -> TestCaseResult {
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
pub(super) fn check_vary(service: &ConnectionService, request: &TestRequest, answer: &Answer) -> TestCaseResult {
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
            // A demand for a password is never kept.
            let varies = |answer: &Answer| answer.varies_by(name) || answer.status == 401;
            prop_assert!(is_same || (varies(answer) && varies(&other)), "{}: {:?}", name, value);
        }
    }
    Ok(())
}
