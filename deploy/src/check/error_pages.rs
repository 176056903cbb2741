//! Pages that answer for other paths than their own: 404 pages, and the page of a single-page app.

use verge_protocol::{Build, Fallback};

use super::pages::LinkingPage;

/// Warns about a 404 page that nobody sees, and about a page whose files are loaded by URLs that depend on the path that it answers for.
pub(super) fn warning(build: &Build, page: &LinkingPage<'_>) -> Option<String> {
    let path = page.path;
    let is_not_found = path.file_name() == "404.html";
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

/// Whether a rule answers with the page.
fn is_target(build: &Build, page: &str) -> bool {
    let name = page.strip_suffix(".html").unwrap_or(page);
    let targets = build.rules.redirects.iter().map(|rule| rule.to().as_str().trim_start_matches('/'));
    targets.into_iter().any(|target| target == page || target == name)
}
