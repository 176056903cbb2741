//! Pages that answer for other paths than their own: 404 pages, and the page of a single-page app.

use verge_protocol::{Build, Fallback};

use super::pages::{LinkingPage, Pages};
use crate::scan::html::Link;

/// Warns about 404 pages that nobody sees, and about pages whose URLs depend on the path that they answer for.
pub(super) fn warnings(build: &Build, pages: &Pages) -> Vec<String> {
    let mut warnings = Vec::new();
    let not_found = pages.0.iter().filter(|page| page.path.file_name() == "404.html");
    if let Fallback::SinglePage { path } = &build.fallback {
        warnings.extend(not_found.map(|page| {
            format!("no reader sees {}: {path} answers for all paths without a file (single-page app)", page.path)
        }));
        let page = pages.get(path.as_str());
        warnings.extend(page.and_then(|page| relative(page, "all routes of the app")));
    } else {
        warnings.extend(not_found.filter_map(|page| relative(page, "paths at any depth")));
    }
    warnings
}

fn relative(page: &LinkingPage, paths: &str) -> Option<String> {
    let is_relative = |link: &&Link| {
        let url = link.url.trim();
        // With a scheme, such as `https:` or `data:`, it is absolute.
        let scheme = url.split_once(':').is_some_and(|(scheme, _)| {
            scheme.starts_with(|first: char| first.is_ascii_alphabetic()) && !scheme.contains(['/', '?', '#'])
        });
        !scheme && !url.is_empty() && !url.starts_with(['/', '#', '?'])
    };
    // What the page loads tells more than where it leads.
    let loaded = page.links.iter().filter(|link| !link.is_page).find(is_relative);
    let link = loaded.filter(|_| page.base.is_none())?;
    Some(format!(
        "{} answers for {paths}, but loads `{}`, which is relative to the path: begin it with `/`, or add `<base href=\"/\">`",
        page.path, link.url
    ))
}
