//! Resolution of a path to a resource of a channel.
//!
//! In this order: the exact file of the release; the exact inherited file; the file of a pretty URL; the single-page
//! fallback; the nearest `404.html`. Forced redirect rules will come before all of them, other rules before the fallback.

use std::sync::Arc;

use super::asset::{Destination, is_asset};
use super::request_path::RequestPath;
use crate::table::{Channel, Resource, Resources};

/// The resource that answers a path.
pub(crate) enum Resolution {
    /// A file of the release, or an inherited one.
    File(Arc<Resource>),
    /// The single-page fallback. The response varies by `Sec-Fetch-Dest`.
    SinglePage(Arc<Resource>),
    /// The site's own 404 page.
    NotFoundPage {
        /// The nearest `404.html`.
        page: Arc<Resource>,
        /// Whether the response varies by `Sec-Fetch-Dest`.
        by_destination: bool,
    },
}

impl Resolution {
    /// Whether the bytes of the resource were erased from the site.
    pub(crate) fn is_erased(&self) -> bool {
        let (Self::File(resource) | Self::SinglePage(resource) | Self::NotFoundPage { page: resource, .. }) = self;
        resource.is_erased()
    }
}

/// The site has no file for the path, and no 404 page to answer with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unresolved {
    /// Whether the response varies by `Sec-Fetch-Dest`.
    pub(crate) by_destination: bool,
}

/// Resolves `path`. `destination` is that of the request.
///
/// A missing asset gets a 404 page only if it is navigated to: a missing script or image must not be answered with HTML.
pub(crate) fn resolve(
    channel: &Channel,
    path: &RequestPath<'_>,
    destination: impl Fn() -> Destination,
) -> Result<Resolution, Unresolved> {
    let own = channel.own();
    if !path.unmatchable {
        if let Some(resource) = exact(channel, path) {
            return Ok(Resolution::File(resource));
        }
        if let Some(resource) = pretty_url(path, |candidate| own.get(candidate)) {
            return Ok(Resolution::File(Arc::clone(resource)));
        }
    }
    let is_asset = is_asset(&path.decoded);
    let fallback = own.single_page().filter(|_| !is_asset);
    if let Some(page) = fallback
        && destination() != Destination::Subresource
    {
        return Ok(Resolution::SinglePage(Arc::clone(page)));
    }
    let page = not_found_page(path, own);
    let by_destination = fallback.is_some() || (is_asset && page.is_some());
    match page.filter(|_| !is_asset || destination() == Destination::Document) {
        Some(page) => Ok(Resolution::NotFoundPage { page: Arc::clone(page), by_destination }),
        None => Err(Unresolved { by_destination }),
    }
}

fn exact(channel: &Channel, path: &RequestPath<'_>) -> Option<Arc<Resource>> {
    if path.has_trailing_slash {
        return None;
    }
    channel.own().get(&path.decoded).or_else(|| channel.inherited(&path.decoded)).cloned()
}

/// Pretty URLs as Netlify has them: `x.html`, `x.htm`, `x/index.html`, then `x/index.htm`, with or without a trailing slash.
fn pretty_url<'a>(
    path: &RequestPath<'_>,
    get: impl Fn(&str) -> Option<&'a Arc<Resource>>,
) -> Option<&'a Arc<Resource>> {
    if path.decoded.is_empty() {
        return get("index.html").or_else(|| get("index.htm"));
    }
    let mut candidate = String::with_capacity(path.decoded.len() + "/index.html".len());
    [".html", ".htm", "/index.html", "/index.htm"].into_iter().find_map(|suffix| {
        candidate.clear();
        candidate.push_str(&path.decoded);
        candidate.push_str(suffix);
        get(&candidate)
    })
}

/// The `404.html` in the directory of the path, or in the nearest directory above it.
fn not_found_page<'a>(path: &RequestPath<'_>, own: &'a Resources) -> Option<&'a Arc<Resource>> {
    let mut directory = &*path.decoded;
    if !path.has_trailing_slash {
        directory = parent(directory);
    }
    loop {
        match own.not_found_page(directory) {
            None if !directory.is_empty() => directory = parent(directory),
            page => return page,
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use verge_protocol::{Fallback, Lifetime};

    use super::*;
    use crate::test_support::{ChannelBuilder, text_of};

    /// The text of the resource, after `200 ` or `404 `; `spa ` marks the fallback, and `*` a response that varies.
    fn resolved(channel: &Channel, path: &str, destination: Destination) -> String {
        let mark = |by_destination| if by_destination { "*" } else { "" };
        match resolve(channel, &RequestPath::parse(path).unwrap(), || destination) {
            Ok(Resolution::File(resource)) => format!("200 {}", text_of(&resource)),
            Ok(Resolution::SinglePage(resource)) => format!("spa {}", text_of(&resource)),
            Ok(Resolution::NotFoundPage { page, by_destination }) => {
                format!("404{} {}", mark(by_destination), text_of(&page))
            }
            Err(Unresolved { by_destination }) => format!("404{}", mark(by_destination)),
        }
    }

    #[test]
    fn pretty_urls_resolve_as_on_netlify() {
        let channel = ChannelBuilder::new(&[
            "index.html",
            "a.html",
            "b.htm",
            "c/index.html",
            "c/x.js",
            "d",
            "d.html",
            "e/index.htm",
        ]);
        let channel = channel.with("a/index.html").build();
        for (path, answer) in [
            ("/", "200 index.html"),
            ("/index.html", "200 index.html"),
            ("/a", "200 a.html"),
            ("/a/", "200 a.html"),
            ("/a.html", "200 a.html"),
            ("/a/index.html", "200 a/index.html"),
            ("/b", "200 b.htm"),
            ("/c", "200 c/index.html"),
            ("/c/", "200 c/index.html"),
            ("/d", "200 d"),
            ("/d/", "200 d.html"),
            ("/e/", "200 e/index.htm"),
            ("/c/x.js/", "404"),
            ("/C", "404"),
            ("//", "404"),
            ("/c//x.js", "404"),
            ("/c//", "404"),
        ] {
            assert_eq!(resolved(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn missing_path_resolves_to_the_nearest_404_page() {
        let channel = ChannelBuilder::new(&["404.html", "docs/404.html", "docs/deep/x.html"]).build();
        for (path, answer) in [
            ("/x", "404 404.html"),
            ("/docs/x", "404 docs/404.html"),
            ("/docs/deep/y/z", "404 docs/404.html"),
            ("/docs/", "404 docs/404.html"),
            ("/docs", "404 404.html"),
            ("/docs//x", "404 docs/404.html"),
            ("/404.html", "200 404.html"),
            ("/404", "200 404.html"),
        ] {
            assert_eq!(resolved(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn single_page_fallback_is_not_used_for_subresources() {
        let page = Fallback::SinglePage { path: "index.html".parse().unwrap() };
        let channel = ChannelBuilder::new(&["index.html", "404.html", "a.js"]).fallback(page).build();
        for (path, destination, answer) in [
            ("/", Destination::Unknown, "200 index.html"),
            ("/users/7", Destination::Unknown, "spa index.html"),
            ("/users/7", Destination::Document, "spa index.html"),
            ("/users/jane.doe", Destination::Unknown, "spa index.html"),
            ("/users//7", Destination::Unknown, "spa index.html"),
            ("/users/7", Destination::Subresource, "404* 404.html"),
            ("/a.js", Destination::Subresource, "200 a.js"),
        ] {
            assert_eq!(resolved(&channel, path, destination), answer, "{path}");
        }
    }

    #[test]
    fn missing_asset_gets_the_404_page_only_if_navigated_to() {
        let channel = ChannelBuilder::new(&["index.html", "404.html"]).build();
        for (path, destination, answer) in [
            ("/assets/old-chunk.js", Destination::Unknown, "404*"),
            ("/assets/old-chunk.js", Destination::Subresource, "404*"),
            ("/missing.pdf", Destination::Document, "404* 404.html"),
            ("/missing", Destination::Unknown, "404 404.html"),
        ] {
            assert_eq!(resolved(&channel, path, destination), answer, "{path}");
        }
    }

    #[test]
    fn fingerprinted_file_is_inherited_from_the_most_recent_release_that_has_its_path() {
        let old = ["app-1.js", "shared.js", "page.html", "notes.txt"];
        // The builder fingerprints immutable files.
        let channel = ChannelBuilder::new(&["index.html", "shared.js"])
            .inherits("newer ", &["replaced.js"], Lifetime::Immutable)
            .inherits("inherited ", &old, Lifetime::Immutable)
            .inherits("plain ", &["plain.js", "downgraded.js"], Lifetime::Revalidate)
            .inherits("older ", &["app-1.js", "replaced.js", "downgraded.js", "old.js"], Lifetime::Immutable)
            .build();
        for (path, answer) in [
            ("/app-1.js", "200 inherited app-1.js"),
            ("/notes.txt", "200 inherited notes.txt"),
            ("/shared.js", "200 shared.js"),
            ("/page.html", "404"),
            ("/page", "404"),
            ("/plain.js", "404"),
            ("/downgraded.js", "404"),
            ("/replaced.js", "200 newer replaced.js"),
            ("/old.js", "200 older old.js"),
            ("/app-1.js/", "404"),
        ] {
            assert_eq!(resolved(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    proptest! {
        /// A file that answers a path has that path, or a pretty URL of it.
        #[test]
        fn resolved_file_is_named_by_the_path(path in "/(a|b|/|\\.|html|index|%2e|%61){0,8}") {
            let channel = ChannelBuilder::new(&["a", "a.html", "b/index.html", "b/a/b.html"]).build();
            if let Ok(path) = RequestPath::parse(&path)
                && let Ok(Resolution::File(resource)) = resolve(&channel, &path, || Destination::Unknown)
            {
                let file = text_of(&resource);
                let bare = file.strip_suffix(".html").unwrap_or(&file);
                prop_assert!([&*file, bare, bare.strip_suffix("/index").unwrap_or(bare)].contains(&&*path.decoded));
            }
        }
    }
}
