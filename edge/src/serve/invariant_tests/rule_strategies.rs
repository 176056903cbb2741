//! Rules for the paths of a site, and for others.

use proptest::sample::select;
use verge_protocol::rules::redirect::Fields;
use verge_protocol::rules::{Credential, HeaderChange, HeaderRule, PasswordRule};

use super::*;

/// Redirect, header and password rules of a site with `files`.
pub(super) fn rules(
    files: Vec<String>,
) -> impl Strategy<Value = (Vec<Redirect>, Vec<HeaderRule>, Vec<PasswordRule>)> + use<> {
    // What is no rule would have stopped the push.
    let redirects = prop::collection::vec(redirect_fields(files.clone()), 0..5)
        .prop_map(|rules| rules.into_iter().filter_map(|fields| fields.try_into().ok()).collect());
    let headers = prop::collection::vec(header_rule(files.clone()), 0..4);
    let passwords = prop_oneof![3 => Just(Vec::new()), 1 => prop::collection::vec(password_rule(files), 1..3)];
    (redirects, headers, passwords)
}

fn redirect_fields(files: Vec<String>) -> impl Strategy<Value = Fields> + use<> {
    let file = select(files.clone()).prop_map(|path| format!("/{path}"));
    let path = "/(a|b|404|index|:x|:y|a\\.js)(/(a|b|index|:x|:y)){0,2}(/|/\\*|/\\*/a|\\.html|\\.js|\\*)?";
    let from = prop_oneof![3 => path, 1 => Just("/*".to_owned()), 2 => file.clone()];
    let site = "(||||||http://demo\\.localhost|https://demo\\.localhost)";
    let query = prop_oneof![
        4 => Just(BTreeMap::new()),
        1 => "1|:q".prop_map(|value| BTreeMap::from([("q".to_owned(), value)])),
    ];
    let path = "/(a|b|index|404|:x|:splat)(/(a|b|:x|:y|:splat|x:x)){0,2}(/|\\.html|\\.js)?";
    let host = "(||||||||http://demo\\.localhost|http://demo\\.localhost:8080|https://demo\\.localhost|https://other\\.example:81)";
    let to = (host, prop_oneof![3 => path, 2 => file], "(||||\\?q=:q|\\?q=1:q|\\?t)");
    let status = select(vec![200, 200, 301, 301, 302, 303, 307, 308, 404, 410, 403]);
    let any_rule = (site, from, query, to, status, any::<bool>()).prop_map(
        |(site, from, query, (host, to, own_query), status, force)| Fields {
            from: site + &from,
            query,
            to: host + &to + &own_query,
            status,
            force,
        },
    );
    prop_oneof![6 => any_rule, 1 => moved_folder(), 1 => fallback(files)]
}

/// A folder, or all, redirected as a whole: to another port, or to the root.
fn moved_folder() -> impl Strategy<Value = Fields> {
    let host = select(vec!["", "http://demo.localhost", "http://demo.localhost:8080", "https://other.example"]);
    let to = select(vec!["/:splat", "/:splat", "/a/:splat", "/:splat.html", "/:splat/a/a"]);
    (select(vec!["/*", "/a/*", "/b/*"]), host, to).prop_map(|(from, host, to)| {
        let (from, to) = (from.to_owned(), host.to_owned() + to);
        Fields { from, query: BTreeMap::new(), to, status: 301, force: true }
    })
}

/// A folder, or all, with one file in place of those that are missing.
fn fallback(files: Vec<String>) -> impl Strategy<Value = Fields> + use<> {
    let status = select(vec![200, 200, 200, 404, 410]);
    (select(vec!["/*", "/a/*", "/:x/*"]), select(files), status).prop_map(|(from, file, status)| {
        let (from, to) = (from.to_owned(), format!("/{file}"));
        Fields { from, query: BTreeMap::new(), to, status, force: false }
    })
}

fn pattern(files: Vec<String>) -> impl Strategy<Value = String> + use<> {
    let file = select(files).prop_map(|path| format!("/{path}"));
    prop_oneof![2 => "/(a|b|:x|\\*|\\*\\.js|\\*\\.html)(/(a|\\*|index))?", 1 => Just("/*".to_owned()), 1 => file]
}

fn header_rule(files: Vec<String>) -> impl Strategy<Value = HeaderRule> + use<> {
    let change = select(vec![
        ("x-rule", Some("1")),
        ("x-rule", Some("2")),
        ("x-rule", None),
        ("cache-control", Some("public, max-age=60, s-maxage=90")),
        ("content-type", Some("text/html")),
        ("vary", Some("Cookie")),
        ("access-control-allow-origin", None),
    ]);
    let changes = prop::collection::btree_map(0..2, change, 1..3);
    (pattern(files), changes).prop_map(|(pattern, changes)| {
        let mut headers: Vec<HeaderChange> = Vec::new();
        for (name, value) in changes.into_values() {
            // A push joins values of the same name.
            if headers.iter().all(|header| header.name() != name) {
                headers.push(HeaderChange::new(name, value).unwrap());
            }
        }
        HeaderRule { pattern: pattern.parse().unwrap(), headers }
    })
}

fn password_rule(files: Vec<String>) -> impl Strategy<Value = PasswordRule> + use<> {
    let users = select(vec![vec!["ann:x"], vec!["ann:x"], vec!["bob:y"], vec!["ann:x", "bob:y"]]);
    (pattern(files), users, prop::bool::weighted(0.2)).prop_map(|(pattern, users, only_previews)| PasswordRule {
        pattern: pattern.parse().unwrap(),
        only_previews,
        users: users.into_iter().map(|user| Credential::new("demo", user)).collect(),
    })
}
