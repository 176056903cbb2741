//! Answers requests by the rules of files, for comparison with other implementations.
//!
//! Each line of standard input is a JSON object with the texts `redirects` (of `_redirects`), `headers` (of `_headers`) and `toml` (of
//! `netlify.toml`), each optional, and an array `requests` of `[scheme, host, path, query]`. Each line of standard output is an object
//! with the lines of invalid rules, and for each request the rule that applies, as `[status, location, is forced]`, and the headers.

use std::collections::BTreeMap;
use std::io::{self, BufRead as _, Write as _};

use serde::{Deserialize, Serialize};
use verge::rules::LoadedRules;
use verge_protocol::rules::{FoldedPath, HeaderMatcher, HeaderRule, RedirectMatcher, RuleRequest, SplitPath};

#[derive(Deserialize)]
struct Case {
    redirects: Option<String>,
    headers: Option<String>,
    toml: Option<String>,
    requests: Vec<(String, String, String, String)>,
}

#[derive(Serialize)]
struct Answers {
    invalid: Vec<String>,
    redirects: Vec<Option<(u16, String, bool)>>,
    headers: Vec<BTreeMap<String, String>>,
}

fn answer(case: &Case) -> Answers {
    let LoadedRules { rules, mut invalid, fatal, .. } =
        LoadedRules::parse(case.redirects.as_deref(), case.headers.as_deref(), case.toml.as_deref(), "site");
    invalid.extend(fatal);
    let redirects = RedirectMatcher::new(rules.redirects);
    let patterns = HeaderMatcher::new(rules.headers.iter().map(|rule| rule.pattern.clone()));
    let redirect_of = |(scheme, host, path, query): &(String, String, String, String)| {
        let query = Some(query.as_str()).filter(|query| !query.is_empty());
        let path = SplitPath::new(path);
        let found = redirects.find(&RuleRequest::new(scheme, host, None, &path, query))?;
        Some((found.rule.status(), found.rule.to().location(&found.captures, None), found.rule.is_forced()))
    };
    Answers {
        invalid,
        redirects: case.requests.iter().map(redirect_of).collect(),
        headers: case.requests.iter().map(|request| headers_of(&rules.headers, &patterns, &request.2)).collect(),
    }
}

fn headers_of(rules: &[HeaderRule], patterns: &HeaderMatcher, path: &str) -> BTreeMap<String, String> {
    let matching = patterns.find(&FoldedPath::new(path));
    let changes = matching.iter().flat_map(|index| &rules[*index].headers);
    let mut headers = BTreeMap::new();
    for change in changes {
        match change.value() {
            Some(value) => drop(headers.insert(change.name().to_owned(), value.to_owned())),
            None => drop(headers.remove(change.name())),
        }
    }
    headers
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut output = io::BufWriter::new(io::stdout());
    for line in io::stdin().lock().lines() {
        serde_json::to_writer(&mut output, &answer(&serde_json::from_str(&line?)?))?;
        output.write_all(b"\n")?;
        output.flush()?;
    }
    Ok(())
}
