//! Which resource of a channel answers a path.
//!
//! In this order: own exact file; inherited exact file; Netlify's pretty look-up; the single-page fallback; the nearest
//! `404.html`. Forced rules will come before all of them, other rules before the fallback.

use std::sync::Arc;

use verge_protocol::Timestamp;

use super::asset::{Destination, is_asset};
use super::request_path::Target;
use crate::table::{Channel, Resource, Resources};

/// What answers a path.
pub(crate) enum Found {
    /// A file of the release, or one that it inherited.
    File(Arc<Resource>),
    /// The single-page fallback. The answer depended on `Sec-Fetch-Dest`.
    SinglePage(Arc<Resource>),
    /// The site's page that says that there is nothing.
    NotFoundPage {
        /// The nearest `404.html`.
        page: Arc<Resource>,
        /// Whether the answer depended on `Sec-Fetch-Dest`.
        by_destination: bool,
    },
}

/// The site has nothing for a path, and no page that says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Nothing {
    /// Whether the answer depended on `Sec-Fetch-Dest`.
    pub(crate) by_destination: bool,
}

/// Finds what answers `target`; `destination` tells what the request says that it is for.
///
/// A missing asset is answered by a page only when a person goes there: a script or an image that is not there must not be HTML.
pub(crate) fn resolve(
    channel: &Channel,
    target: &Target<'_>,
    now: impl FnOnce() -> Timestamp,
    destination: impl Fn() -> Destination,
) -> Result<Found, Nothing> {
    let own = channel.own();
    if !target.hollow {
        if let Some(resource) = exact(channel, target, now) {
            return Ok(Found::File(resource));
        }
        if let Some(resource) = pretty(target, |path| own.get(path)) {
            return Ok(Found::File(Arc::clone(resource)));
        }
    }
    let asset = is_asset(&target.path);
    let route = own.single_page().filter(|_| !asset);
    if let Some(page) = route
        && destination() != Destination::Part
    {
        return Ok(Found::SinglePage(Arc::clone(page)));
    }
    let page = not_found(target, own);
    let by_destination = route.is_some() || (asset && page.is_some());
    match page.filter(|_| !asset || destination() == Destination::Page) {
        Some(page) => Ok(Found::NotFoundPage { page: Arc::clone(page), by_destination }),
        None => Err(Nothing { by_destination }),
    }
}

fn exact(channel: &Channel, target: &Target<'_>, now: impl FnOnce() -> Timestamp) -> Option<Arc<Resource>> {
    if target.slash {
        return None;
    }
    if let Some(resource) = channel.own().get(&target.path) {
        return Some(Arc::clone(resource));
    }
    let inherited =
        |resources: &Arc<Resources>| resources.get(&target.path).filter(|resource| resource.is_inheritable()).cloned();
    channel.inherited(now()).find_map(inherited)
}

/// Netlify's look-up: `x`, then `x.html`, `x.htm`, `x/index.html`, `x/index.htm`; a slash at the end changes nothing.
fn pretty<'a>(target: &Target<'_>, get: impl Fn(&str) -> Option<&'a Arc<Resource>>) -> Option<&'a Arc<Resource>> {
    if target.path.is_empty() {
        return get("index.html").or_else(|| get("index.htm"));
    }
    let mut candidate = String::with_capacity(target.path.len() + "/index.html".len());
    [".html", ".htm", "/index.html", "/index.htm"].into_iter().find_map(|suffix| {
        candidate.clear();
        candidate.push_str(&target.path);
        candidate.push_str(suffix);
        get(&candidate)
    })
}

/// The `404.html` in the folder of the path, or of the nearest folder above it.
fn not_found<'a>(target: &Target<'_>, own: &'a Resources) -> Option<&'a Arc<Resource>> {
    let mut folder = &*target.path;
    if !target.slash {
        folder = parent(folder);
    }
    loop {
        match own.not_found(folder) {
            None if !folder.is_empty() => folder = parent(folder),
            found => return found,
        }
    }
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;
    use verge_protocol::{Fallback, Lifetime};

    use super::*;
    use crate::test_support::{ChannelBuilder, text_of};

    const NOW: Timestamp = Timestamp(1_000_000);

    /// The text of what answers, after `200 ` or `404 `; `spa ` marks the fallback, and `*` a dependence on the header.
    fn ask(channel: &Channel, path: &str, destination: Destination) -> String {
        let mark = |by_destination| if by_destination { "*" } else { "" };
        match resolve(channel, &Target::read(path).unwrap(), || NOW, || destination) {
            Ok(Found::File(resource)) => format!("200 {}", text_of(&resource)),
            Ok(Found::SinglePage(resource)) => format!("spa {}", text_of(&resource)),
            Ok(Found::NotFoundPage { page, by_destination }) => {
                format!("404{} {}", mark(by_destination), text_of(&page))
            }
            Err(Nothing { by_destination }) => format!("404{}", mark(by_destination)),
        }
    }

    #[test]
    fn pretty_paths_are_netlifys() {
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
            assert_eq!(ask(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn the_nearest_page_says_not_found() {
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
            assert_eq!(ask(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn the_fallback_answers_navigations_only() {
        let page = Fallback::SinglePage { path: "index.html".parse().unwrap() };
        let channel = ChannelBuilder::new(&["index.html", "404.html", "a.js"]).fallback(page).build();
        for (path, destination, answer) in [
            ("/", Destination::Unknown, "200 index.html"),
            ("/users/7", Destination::Unknown, "spa index.html"),
            ("/users/7", Destination::Page, "spa index.html"),
            ("/users/jane.doe", Destination::Unknown, "spa index.html"),
            ("/users//7", Destination::Unknown, "spa index.html"),
            ("/users/7", Destination::Part, "404* 404.html"),
            ("/a.js", Destination::Part, "200 a.js"),
        ] {
            assert_eq!(ask(&channel, path, destination), answer, "{path}");
        }
    }

    #[test]
    fn a_missing_asset_is_not_html_unless_a_person_goes_there() {
        let channel = ChannelBuilder::new(&["index.html", "404.html"]).build();
        for (path, destination, answer) in [
            ("/assets/old-chunk.js", Destination::Unknown, "404*"),
            ("/assets/old-chunk.js", Destination::Part, "404*"),
            ("/missing.pdf", Destination::Page, "404* 404.html"),
            ("/missing", Destination::Unknown, "404 404.html"),
        ] {
            assert_eq!(ask(&channel, path, destination), answer, "{path}");
        }
    }

    #[test]
    fn fingerprinted_files_are_inherited_and_nothing_else() {
        let old = ["app-1.js", "shared.js", "page.html", "notes.txt"];
        // The builder fingerprints what is immutable.
        let channel = ChannelBuilder::new(&["index.html", "shared.js"])
            .inherits(NOW.after(Duration::from_secs(1)), &old, Lifetime::Immutable)
            .inherits(NOW.after(Duration::from_secs(1)), &["plain.js"], Lifetime::Revalidate)
            .inherits(NOW, &["expired.js"], Lifetime::Immutable)
            .build();
        for (path, answer) in [
            ("/app-1.js", "200 inherited app-1.js"),
            ("/notes.txt", "200 inherited notes.txt"),
            ("/shared.js", "200 shared.js"),
            ("/page.html", "404"),
            ("/page", "404"),
            ("/plain.js", "404"),
            ("/expired.js", "404"),
            ("/app-1.js/", "404"),
        ] {
            assert_eq!(ask(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    proptest! {
        /// Whatever is asked, what answers was put there for that path, or is a page that answers for others.
        #[test]
        fn no_path_finds_what_it_does_not_name(path in "/(a|b|/|\\.|html|index|%2e|%61){0,8}") {
            let channel = ChannelBuilder::new(&["a", "a.html", "b/index.html", "b/a/b.html"]).build();
            if let Ok(target) = Target::read(&path)
                && let Ok(Found::File(resource)) = resolve(&channel, &target, || NOW, || Destination::Unknown)
            {
                let found = text_of(&resource);
                let bare = found.strip_suffix(".html").unwrap_or(&found);
                prop_assert!([&*found, bare, bare.strip_suffix("/index").unwrap_or(bare)].contains(&&*target.path));
            }
        }
    }
}
