//! Measures what rules cost a request, by their number: nanoseconds for each request, the median of rounds taken in turn.
#![expect(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a measurement of wall time, for people"
)]

use std::hint::black_box;
use std::time::Instant;

use verge_protocol::rules::redirect::Fields;
use verge_protocol::rules::{FoldedPath, HeaderMatcher, RedirectMatcher, RuleRequest, SplitPath};

const ROUNDS: usize = 21;
const REQUESTS: usize = 20_000;

/// A third each of paths, folders and patterns with a placeholder, in turn.
fn redirects(count: usize) -> RedirectMatcher {
    let rule = |index: usize| {
        let (from, to) = match index % 3 {
            0 => (format!("/old/page-{index}"), format!("/new/page-{index}")),
            1 => (format!("/folder-{index}/*"), format!("/elsewhere-{index}/:splat")),
            _ => (format!("/blog/:year/post-{index}"), format!("/posts/:year/{index}")),
        };
        Fields { from, query: std::collections::BTreeMap::new(), to, status: 301, force: false }
            .try_into()
            .expect("valid")
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

fn nanoseconds(mut request: impl FnMut(usize)) -> f64 {
    let start = Instant::now();
    (0..REQUESTS).for_each(&mut request);
    start.elapsed().as_secs_f64() * 1e9 / REQUESTS as f64
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
        let request = RuleRequest { scheme: "https", host: "a.example", port: None, path: &path, query: None };
        black_box(rules.find(&request).is_some());
    };
    let headers_of = |rules: &HeaderMatcher, index: usize| {
        black_box(rules.find(&FoldedPath::new(paths[index % paths.len()])));
    };
    let counts = [10, 1_000, 20_000];
    let (redirects, headers) = (counts.map(redirects), counts.map(headers));
    let mut measured = vec![Vec::new(); 2 * counts.len()];
    for _ in 0..ROUNDS {
        for (index, rules) in redirects.iter().enumerate() {
            measured[index].push(nanoseconds(|request| redirect_of(rules, request)));
        }
        for (index, rules) in headers.iter().enumerate() {
            measured[counts.len() + index].push(nanoseconds(|request| headers_of(rules, request)));
        }
    }
    for (index, values) in measured.into_iter().enumerate() {
        let kind = if index < counts.len() { "redirects" } else { "headers" };
        println!("{kind}, {:>6} rules: {:>6.0} ns", counts[index % counts.len()], median(values));
    }
}
