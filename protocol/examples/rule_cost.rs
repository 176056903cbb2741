//! Measures what rules cost a request, by their number: nanoseconds for each request, the median of rounds taken in turn. Then what 20,000
//! rules of one shape cost beside 10 of them, and what the worst rules that limits allow cost the worst request, and an edge in memory.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement of wall time, for people"
)]

use std::hint::black_box;
use std::time::Instant;

use verge_protocol::rules::redirect::Fields;
use verge_protocol::rules::{
    Credential, FoldedPath, HeaderMatcher, PasswordRule, Redirect, RedirectMatcher, RuleRequest, SplitPath,
};

const ROUNDS: usize = 21;
const REQUESTS: usize = 20_000;

/// Of each shape of rules, of which some are slow.
const SHAPE_ROUNDS: usize = 11;
const SHAPE_REQUESTS: usize = 100;

fn redirect(from: &str, query: &[(&str, &str)], to: &str) -> Redirect {
    let query = query.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let fields = Fields { from: from.to_owned(), query, to: to.to_owned(), status: 301, force: false };
    fields.try_into().expect("valid")
}

/// A third each of paths, folders and patterns with a placeholder, in turn.
fn redirects(count: usize) -> RedirectMatcher {
    let rule = |index: usize| {
        let (from, to) = match index % 3 {
            0 => (format!("/old/page-{index}"), format!("/new/page-{index}")),
            1 => (format!("/folder-{index}/*"), format!("/elsewhere-{index}/:splat")),
            _ => (format!("/blog/:year/post-{index}"), format!("/posts/:year/{index}")),
        };
        redirect(&from, &[], &to)
    };
    RedirectMatcher::new((0..count).map(rule).collect())
}

fn headers(count: usize) -> HeaderMatcher {
    let pattern = |index: usize| {
        let text = match index % 3 {
            0 => format!("/page-{index}"),
            1 => format!("/folder-{index}/*"),
            _ => format!("/folder-{index}/*.js"),
        };
        text.parse().expect("valid")
    };
    HeaderMatcher::new((0..count).map(pattern))
}

fn nanoseconds(requests: usize, mut request: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..requests).for_each(&mut request);
    start.elapsed().as_secs_f64() * 1e9 / requests as f64
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn main() {
    // A rule of each kind that all counts have, and a miss.
    let paths = ["/old/page-6", "/folder-7/a/b.js", "/blog/2026/post-8", "/assets/app-0a1b2c3d.js"];
    let redirect_of = |rules: &RedirectMatcher, index: usize| {
        let path = SplitPath::new(paths[index % paths.len()]);
        black_box(rules.find(&RuleRequest::new("https", "a.example", None, &path, None)).is_some());
    };
    let headers_of = |rules: &HeaderMatcher, index: usize| {
        black_box(rules.find(&FoldedPath::new(paths[index % paths.len()])));
    };
    let counts = [10, 1_000, 20_000];
    let (redirects, headers) = (counts.map(redirects), counts.map(headers));
    let mut measured = vec![Vec::new(); 2 * counts.len()];
    for _ in 0..ROUNDS {
        for (index, rules) in redirects.iter().enumerate() {
            measured[index].push(nanoseconds(REQUESTS, |request| redirect_of(rules, request)));
        }
        for (index, rules) in headers.iter().enumerate() {
            measured[counts.len() + index].push(nanoseconds(REQUESTS, |request| headers_of(rules, request)));
        }
    }
    for (index, values) in measured.into_iter().enumerate() {
        let kind = if index < counts.len() { "redirects" } else { "headers" };
        println!("{kind}, {:>6} rules: {:>6.0} ns", counts[index % counts.len()], median(values));
    }
    shapes();
    worst();
}

/// Rules that all have one shape.
struct Shape {
    name: &'static str,
    /// The path of a request, and its scheme.
    scheme: &'static str,
    path: &'static str,
    kind: Kind,
}

/// The rule of each number.
enum Kind {
    Redirects(fn(usize) -> Redirect),
    Headers(fn(usize) -> String),
}

const SHAPES: [Shape; 15] = [
    shape("paths of hosts", "/nope/x", Kind::Redirects(|n| redirect(&format!("https://h{n}.example/*"), &[], "/d"))),
    Shape {
        scheme: "http",
        ..shape(
            "likewise, without TLS",
            "/nope/x",
            Kind::Redirects(|n| redirect(&format!("https://h{n}.example/*"), &[], "/d")),
        )
    },
    Shape {
        scheme: "http",
        ..shape("one path of hosts", "/p", Kind::Redirects(|n| redirect(&format!("http://h{n}.example/p"), &[], "/d")))
    },
    Shape {
        scheme: "http",
        ..shape(
            "hosts to other hosts",
            "/x",
            Kind::Redirects(|n| {
                redirect(&format!("http://h{n}.example/*"), &[], &format!("https://www.h{n}.example/:splat"))
            }),
        )
    },
    shape("`/a…a{n}*`", LETTERS, Kind::Redirects(|n| redirect(&format!("/{}{n}*", "a".repeat(n % 1000)), &[], "/d"))),
    shape(
        "15 segments `s` or `:a`",
        SEGMENTS,
        Kind::Redirects(|n| redirect(&format!("{}/{n}", combination(n, 15).replace("/a", "/s")), &[], "/d")),
    ),
    shape(
        "15 segments `s` or `:a`",
        SEGMENTS,
        Kind::Headers(|n| format!("{}/{n}", combination(n, 15).replace("/a", "/s"))),
    ),
    shape("`/{n}`", "/5", Kind::Headers(|n| format!("/{n}"))),
    shape("`/:a/h{n}`", "/q/h5", Kind::Headers(|n| format!("/:a/h{n}"))),
    shape("`/*.e{n}`", "/a/b.e5", Kind::Headers(|n| format!("/*.e{n}"))),
    shape("`/:a/*.e{n}`", "/a/b.e5", Kind::Headers(|n| format!("/:a/*.e{n}"))),
    shape("`/*/h{n}`", "/a/h5", Kind::Headers(|n| format!("/*/h{n}"))),
    shape("`/h{n}*`", "/h5", Kind::Headers(|n| format!("/h{n}*"))),
    shape("`/p*{n}.js`", "/p5.js", Kind::Headers(|n| format!("/p*{n}.js"))),
    shape("`/*`", "/a", Kind::Headers(|_| "/*".to_owned())),
];

/// A segment that begins as many of those prefixes do, and segments that match each such combination.
const LETTERS: &str =
    "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const SEGMENTS: &str = "/s/s/s/s/s/s/s/s/s/s/s/s/s/s/s/x";

const fn shape(name: &'static str, path: &'static str, kind: Kind) -> Shape {
    Shape { name, scheme: "https", path, kind }
}

/// What many rules of one shape cost a request, and how much more that is than few.
fn shapes() {
    for Shape { name, scheme, path, kind } in SHAPES {
        let counts = [10, 20_000];
        let mut measured = [Vec::new(), Vec::new()];
        match kind {
            Kind::Redirects(rule) => {
                let matchers = counts.map(|count| RedirectMatcher::new((0..count).map(rule).collect()));
                for _ in 0..SHAPE_ROUNDS {
                    for (matcher, values) in matchers.iter().zip(&mut measured) {
                        values.push(nanoseconds(SHAPE_REQUESTS, |_| {
                            let path = SplitPath::new(path);
                            black_box(
                                matcher.find(&RuleRequest::new(scheme, "a.example", None, &path, None)).is_some(),
                            );
                        }));
                    }
                }
            }
            Kind::Headers(pattern) => {
                let pattern = |number| pattern(number).parse().expect("valid");
                let matchers = counts.map(|count| HeaderMatcher::new((0..count).map(pattern)));
                for _ in 0..SHAPE_ROUNDS {
                    for (matcher, values) in matchers.iter().zip(&mut measured) {
                        values.push(nanoseconds(SHAPE_REQUESTS, |_| {
                            black_box(matcher.find(&FoldedPath::new(path)));
                        }));
                    }
                }
            }
        }
        let kind = if matches!(kind, Kind::Redirects(_)) { "redirects" } else { "headers" };
        let [few, many] = measured.map(median);
        println!("20,000 beside 10, {kind}, {name}: {few:.0} ns, {many:.0} ns, {:.1} times", many / few);
    }
}

/// The longest target of a request, in bytes.
const TARGET_MAX: usize = 8 << 10;

/// What the worst rules cost.
fn worst() {
    // First, before there is memory to use again.
    let before = resident_bytes();
    let deep = |number: usize| {
        let path: String = (0..126).map(|segment| format!("/{number}-{segment}")).collect::<Vec<_>>().concat();
        redirect(&path, &[], "/t")
    };
    let matcher = RedirectMatcher::new((0..3100).map(deep).collect());
    let all = resident_bytes().saturating_sub(before);
    println!("memory, {} rules of 126 segments: {} MiB", matcher.rules().len(), all >> 20);

    let query = "a=&".repeat(TARGET_MAX / 3);
    let by_query = |id: usize| redirect("/index.php", &[("id", &id.to_string())], &format!("/new/{id}"));
    worst_redirects("5,000 queries of one path", 5000, by_query, "/index.php", Some(&query));
    let one_by_three = |id: usize| redirect("/p", &[("lang", "en"), ("id", &id.to_string()), ("x", ":x")], "/t");
    worst_redirects("50,000 queries of one path", 50_000, one_by_three, "/p", Some("lang=en&id=x&x=1"));
    let hosts = |number: usize| redirect(&format!("https://{number}.example/*"), &[], "/t");
    worst_redirects("50,000 hosts", 50_000, hosts, "/", None);
    // Each has the request's path, and none its query.
    let path = "/a".repeat(TARGET_MAX / 2);
    let combinations = |number: usize| redirect(&format!("/*{}", combination(number, 14)), &[("x", "1")], "/t");
    worst_redirects("16,384 ends after `*`", 16_384, combinations, &path, None);
    let two = |number: usize| redirect(&format!("/*{}/b/*", combination(number, 100)), &[], "/t");
    worst_redirects("100 paths with two `*`", 100, two, &path, None);
    let same = |_: usize| redirect("/a/*", &[], "/a/:splat");
    worst_redirects("40,000 that lead to themselves", 40_000, same, &path, None);
    let long = |_: usize| redirect("/a/*", &[], &format!("/a{}", "/:splat".repeat(16)));
    worst_redirects("40,000 that lead to ever longer paths", 40_000, long, &path, None);
    for segment in ["/.", "/...", "/%2e%2e%2e"] {
        let path = format!("/a{}", segment.repeat(TARGET_MAX / segment.len() - 1));
        let dots = |_: usize| redirect("/a/*", &[], &format!("/a{}", "/:splat".repeat(16)));
        worst_redirects(&format!("40,000 that capture `{segment}`"), 40_000, dots, &path, None);
    }
    let both = |_: usize| redirect("/a/*/a/*", &[], &format!("/a{}", "/:splat".repeat(16)));
    worst_redirects("100 with two `*` that lead to longer paths", 100, both, &path, None);
    let shift = |_: usize| redirect("/a/*/a/*", &[], "/a/:splat/a/a");
    worst_redirects("100 with two `*` that lead on", 100, shift, &path, None);
    let encoded = format!("/{}", "%61".repeat(TARGET_MAX / 3 - 1));
    let prefix = |number: usize| redirect(&format!("/{}*/{number}", "a".repeat(300)), &[], "/t");
    worst_redirects("20,000 after `text*`", 20_000, prefix, &encoded, None);

    let placeholders: String = (0..120).map(|number| format!("/:p{number}")).collect::<Vec<_>>().concat();
    worst_headers("3,000 with 120 placeholders after `*`", 3000, &format!("/*{placeholders}/b"), &path);
    let deep = |number: usize| format!("{}/b", combination(number, 24).replace("/:p", "/:a"));
    let of_24 = |number: usize| redirect(&deep(number), &[], "/t");
    worst_redirects("15,000 of 24 segments `a` or `:a`", 15_000, of_24, &"/a".repeat(25), None);
    let matcher = HeaderMatcher::new((0..15_000).map(|number| deep(number).parse().expect("valid")));
    let start = Instant::now();
    black_box(matcher.find(&FoldedPath::new(&"/a".repeat(25))));
    println!("headers, 15,000 of 24 segments `a` or `:a`: {:.2} ms a request", start.elapsed().as_secs_f64() * 1e3);
    worst_headers("100 with several `*`", 100, "/*/a/a/a/b*b/*", &path);
    worst_headers("20 with placeholders between two `*`", 20, "/*/a/:a/:b/:c/:d/b/*", &path);
    worst_headers("50,000 that begin with `*`", 50_000, "/*.js", &path);
    let (text, letters) = ("a".repeat(1000), format!("/{}", "a".repeat(TARGET_MAX - 1)));
    worst_headers("100 with 1,000 bytes between two `*`", 100, &format!("/*{text}/*"), &letters);
    worst_headers("20 with 1,000 bytes and a placeholder", 20, &format!("/*{text}/:x/b/*"), &letters);
    worst_headers("100 with 1,000 other bytes between two `*`", 100, &format!("/*{text}b*c/*"), &letters);

    let users = (0..1000).map(|number| Credential::new("demo", &format!("{number}:x"))).collect();
    let rule = PasswordRule { pattern: "/*".parse().expect("valid"), only_previews: false, users };
    let start = Instant::now();
    black_box(rule.admits(&[b'a'; 512]));
    println!("passwords, 1,000 users: {:.2} ms", start.elapsed().as_secs_f64() * 1e3);
}

/// The path of literals and placeholders that are the digits of a number.
fn combination(number: usize, digits: u32) -> String {
    let is_literal = |digit: u32| number.checked_shr(digit).unwrap_or(0) & 1 == 0;
    (0..digits).map(|digit| if is_literal(digit) { "/a".to_owned() } else { format!("/:p{digit}") }).collect()
}

fn worst_redirects(name: &str, count: usize, rule: impl Fn(usize) -> Redirect, path: &str, query: Option<&str>) {
    let start = Instant::now();
    let matcher = RedirectMatcher::new((0..count).map(rule).collect());
    let compiled = start.elapsed();
    let start = Instant::now();
    let path = SplitPath::new(path);
    black_box(matcher.find(&RuleRequest::new("https", "a.example", None, &path, query)).is_some());
    let request = start.elapsed();
    println!(
        "redirects, {name}: {:.2} ms a request, {:.0} ms once",
        request.as_secs_f64() * 1e3,
        compiled.as_secs_f64() * 1e3
    );
}

fn worst_headers(name: &str, count: usize, pattern: &str, path: &str) {
    let pattern = pattern.parse().expect("valid");
    let matcher = HeaderMatcher::new(std::iter::repeat_n(pattern, count));
    let start = Instant::now();
    black_box(matcher.find(&FoldedPath::new(path)));
    println!("headers, {name}: {:.2} ms a request", start.elapsed().as_secs_f64() * 1e3);
}

/// The memory of the process, where Linux tells.
fn resident_bytes() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    pages.split(' ').nth(1).and_then(|pages| pages.parse::<usize>().ok()).unwrap_or(0) * 4096
}
