//! Pages that answer for other paths than their own: 404 pages, and the page of a single-page app.

use std::collections::HashSet;

use verge_protocol::rules::path_pattern::Segment;
use verge_protocol::rules::{Action, Redirect};
use verge_protocol::{Build, Fallback, SitePath};

use super::pages::LinkingPage;
use crate::rules::has_file;

/// Warns about a 404 page that nobody sees, and about a page whose files are loaded by URLs that depend on the path that it answers for.
pub(super) fn warning(build: &Build, page: &LinkingPage<'_>) -> Option<String> {
    let path = page.path;
    let is_not_found = path.file_name() == "404.html";
    if is_not_found
        && !is_target(build, path.as_str())
        && let Some(rule) = rule_for_all_misses(build)
    {
        return Some(format!("no reader sees {path}: `{rule}` applies to all paths without a file"));
    }
    if let Some(warning) = page_of_folder(build, path) {
        return Some(warning);
    }
    let paths = match &build.fallback {
        Fallback::SinglePage { path: app } if path == app => "all routes of the app",
        Fallback::SinglePage { path: app } if is_not_found && !is_target(build, path.as_str()) => {
            return Some(format!(
                "no reader sees {path}: {app} answers for all paths without a file (single-page app)"
            ));
        }
        Fallback::NotFound if is_not_found => "paths at any depth",
        _ => return None,
    };
    let link = page.relative_file()?;
    Some(format!(
        "{path} answers for {paths}, but loads `{}`, which is relative to the path: begin it with `/`, or add `<base href=\"/\">`",
        link.url
    ))
}

/// What is said of the page of a folder `404`, which some generators write in place of `404.html`.
fn page_of_folder(build: &Build, path: &SitePath) -> Option<String> {
    let has_other = || build.files.keys().any(|path| path.as_str() == "404.html");
    let mut targets = build.rules.redirects.iter().map(|rule| rule.to().as_str().trim_matches('/'));
    let is_unseen = path.as_str() == "404/index.html"
        && build.fallback == Fallback::NotFound
        && !has_other()
        && !targets.any(|target| matches!(target, "404" | "404/index" | "404/index.html"))
        && rule_for_all_misses(build).is_none();
    is_unseen.then(|| format!("{path} answers for no other path: paths without a file get 404.html, so write it there"))
}

/// The rule that leaves no path without an answer, if it is known that it does, and that no rule before it leads to a file that is missing.
fn rule_for_all_misses(build: &Build) -> Option<&Redirect> {
    let files: HashSet<&str> = build.files.keys().map(SitePath::as_str).collect();
    let leads_to_file = |rule: &Redirect| !rule.to().has_captures() && has_file(&files, rule);
    let is_for_all = |rule: &&Redirect| {
        rule.is_unconditional()
            && matches!(rule.from().segments(), [Segment::Wildcard])
            && rule.to().origin().is_none()
            && leads_to_file(rule)
    };
    let rules = &build.rules.redirects;
    let first = rules.iter().position(|rule| is_for_all(&rule))?;
    let misses = |rule: &Redirect| !matches!(rule.action(), Action::Redirect(_)) && !leads_to_file(rule);
    rules.get(first).filter(|_| !rules.iter().take(first).any(misses))
}

/// Whether a rule answers with the page.
fn is_target(build: &Build, page: &str) -> bool {
    let name = page.strip_suffix(".html").unwrap_or(page);
    let targets = build.rules.redirects.iter().map(|rule| rule.to().as_str().trim_start_matches('/'));
    targets.into_iter().any(|target| target == page || target == name)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use verge_protocol::{Content, HtmlPaths};

    use super::*;
    use crate::rules::LoadedRules;

    fn build(files: &[&str], redirects: &str) -> Build {
        let file = |path: &&str| (path.parse().unwrap(), Content::cut(&Bytes::new()).0);
        let rules = LoadedRules::parse(Some(redirects), None, None, "demo").rules;
        let (files, fallback) = (files.iter().map(file).collect(), Fallback::NotFound);
        Build { files, fallback, legacy_service_workers: Vec::new(), html: HtmlPaths::Auto, rules }
    }

    /// The rule that leaves nothing to a 404 page.
    fn rule_of(redirects: &str) -> Option<String> {
        let build = build(&["404.html", "index.html", "app.html", "d/index.html", "data.json"], redirects);
        rule_for_all_misses(&build).map(ToString::to_string)
    }

    #[test]
    fn page_of_a_folder_404_is_said_to_be_no_404_page_unless_one_is_there_or_a_rule_names_it() {
        let warning = |build: &Build, path: &str| page_of_folder(build, &path.parse().unwrap());
        let files = ["index.html", "404/index.html", "d/404/index.html"];
        for redirects in ["", "/a / 301", "/* /gone 404"] {
            assert_eq!(
                warning(&build(&files, redirects), "404/index.html").as_deref(),
                Some("404/index.html answers for no other path: paths without a file get 404.html, so write it there")
            );
        }
        for redirects in ["/* /404 404", "/* /404/ 404", "/a/* /404/index.html 410", "/* /index.html 302"] {
            assert_eq!(warning(&build(&files, redirects), "404/index.html"), None, "{redirects}");
        }
        assert_eq!(warning(&build(&[&files[..], &["404.html"]].concat(), ""), "404/index.html"), None);
        assert_eq!(warning(&build(&files, ""), "d/404/index.html"), None);
        let app = Fallback::SinglePage { path: "index.html".parse().unwrap() };
        assert_eq!(warning(&Build { fallback: app, ..build(&files, "") }, "404/index.html"), None);
    }

    #[test]
    fn rule_for_all_paths_without_a_file_is_found() {
        for rule in ["/* /app.html 200", "/* /data.json 200", "/* / 302", "/* /d/ 301", "/* /app 410", "/* /d 301!"] {
            assert_eq!(rule_of(rule).as_deref(), Some(rule));
            assert_eq!(rule_of(&format!("/x /gone 301\n/y /app 200\n{rule}")).as_deref(), Some(rule));
        }
    }

    #[test]
    fn rule_that_leaves_paths_to_a_404_page_is_not_found() {
        for rules in [
            "/* /gone 200",
            "/* /gone 301",
            "/* /d/:splat 301",
            "/* /app/:splat 200",
            "/* k=1 /app 302",
            "https://a.example/* /app 302",
            "/* https://b.example/ 302",
            "/d/* /app 200",
            "/a* /app 200",
            "/:x /app 200",
            "/docs/* /gone.html 200\n/* /app.html 200",
            "/docs/* /d/:splat 200\n/* /app.html 200",
        ] {
            assert_eq!(rule_of(rules), None, "{rules}");
        }
    }
}
