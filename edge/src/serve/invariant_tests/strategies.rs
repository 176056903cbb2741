//! Sites and requests for them.

use std::fmt::Write as _;

use proptest::sample::select;

use super::*;

/// Sites with few files, and with rules for them.
pub(super) fn sites() -> impl Strategy<Value = Site> {
    let codings = select(vec![vec![], vec![Coding::Br], vec![Coding::Gzip], vec![Coding::Br, Coding::Gzip]]);
    // Mostly small files, since each blob costs time.
    let file = (prop_oneof![20 => 0..4_usize, 1 => Just(4_usize)], codings, any::<bool>());
    let file = file.prop_map(|(original, codings, is_immutable)| TestFile { original, codings, is_immutable });
    let path = "(index|404|(a|b|ü|c<d)(/(a|index|404)){0,2})(|\\.html|\\.html|\\.htm|\\.md|\\.js|\\.woff2)";
    let files = prop::collection::btree_map(path, file, 1..10);
    (files, any::<bool>(), any::<bool>()).prop_flat_map(|(files, is_single_page, keeps_addresses)| {
        rule_strategies::rules(files.keys().cloned().collect()).prop_map(move |(redirects, headers, passwords)| Site {
            files: files.clone(),
            is_single_page,
            keeps_addresses,
            redirects,
            headers,
            passwords,
        })
    })
}

/// A path that may be that of a file or a page, or one of a rule, or of nothing at all.
fn targets(site: &Site) -> impl Strategy<Value = String> + use<> {
    let files: Vec<String> = site.files.keys().cloned().collect();
    let mut of_rules: Vec<String> = site.redirects.iter().flat_map(|rule| rule.from().examples()).collect();
    of_rules.extend(["/", "/a/a/a", "/a/b/a/b"].map(str::to_owned));
    let of_rules = (select(of_rules), "(||/|/x\\.js|\\.js|//x)").prop_map(|(path, end)| {
        let path = if path.is_empty() { "/".to_owned() } else { path };
        path + &end
    });
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
    let target = prop_oneof![3 => mutated, 2 => of_rules, 1 => odd];
    (target, "(|\\?|\\?q=1|\\?q=%2F/&\\{x\\}|\\?//)").prop_map(|(path, query)| path + &query)
}

/// Requests for the paths of a site, and of others.
pub(super) fn requests(site: &Site) -> impl Strategy<Value = TestRequest> + use<> {
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
        // ann:x, bob:y, ann:z
        optional("authorization", 2, "Basic (YW5uOng=|YW5uOng=|Ym9iOnk=|YW5uOno=)|Bearer x"),
    ];
    let host = select(vec!["demo.localhost", "demo.localhost", "demo.localhost:8080", "demo.localhost:80"]);
    (method, host, targets(site), fields).prop_map(|(method, host, target, fields)| TestRequest {
        method,
        host: host.to_owned(),
        target,
        fields: fields.into_iter().flatten().collect(),
    })
}
