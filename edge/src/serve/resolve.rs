//! Resolution of a path to a resource of a channel.
//!
//! In this order: a forced redirect rule; the exact file of the release; the exact inherited file; the page that the path is an address
//! of; another redirect rule; a redirect to the address of the page; the single-page fallback; the nearest `404.html`.
//!
//! If the page has another address, it is not at the path: then a rule for just this path, or one that redirects, comes first. A pattern
//! that rewrites, such as the fallback of a single-page app below a folder, does not: links of the page would break.

use std::sync::Arc;

use http::{HeaderValue, StatusCode};
use verge_protocol::HtmlPaths;

use super::asset::{Destination, is_asset};
use super::request_path::RequestPath;
use super::rules::{AppliedRule, RuleOutcome};
use crate::table::{Channel, HeaderScope, Resource, Resources};

/// The resource that answers a path.
pub(crate) enum Resolution {
    /// A file of the release, or an inherited one.
    File(Arc<Resource>),
    /// The file that a rule names for the path.
    Rewritten(Arc<Resource>),
    /// The single-page fallback. The response varies by `Sec-Fetch-Dest`.
    SinglePage(Arc<Resource>),
    /// The site's own page for an error, such as the nearest `404.html`.
    ErrorPage {
        /// 4xx.
        status: StatusCode,
        page: Arc<Resource>,
        /// Whether the response varies by `Sec-Fetch-Dest`.
        by_destination: bool,
    },
}

impl Resolution {
    /// Whether the bytes of the resource were erased from the site.
    pub(crate) fn is_erased(&self) -> bool {
        let (Self::File(resource)
        | Self::Rewritten(resource)
        | Self::SinglePage(resource)
        | Self::ErrorPage { page: resource, .. }) = self;
        resource.is_erased()
    }

    /// The file that is sent, its Markdown twin if `prefers_markdown`.
    pub(crate) fn sent(&self, prefers_markdown: impl Fn() -> bool) -> &Arc<Resource> {
        match self {
            Self::File(file) => file.markdown().filter(|_| prefers_markdown()).unwrap_or(file),
            Self::Rewritten(file) | Self::SinglePage(file) | Self::ErrorPage { page: file, .. } => file,
        }
    }

    /// Whether the file that is sent is that of the path.
    pub(crate) fn is_at_path(&self) -> bool {
        matches!(self, Self::File(_))
    }

    /// What header rules may say about the response. What they say of a page, such as its type, is not for its Markdown twin.
    pub(crate) fn header_scope(&self, prefers_markdown: impl Fn() -> bool) -> HeaderScope {
        match self {
            Self::File(file) if Arc::ptr_eq(file, self.sent(prefers_markdown)) => HeaderScope::File,
            Self::Rewritten(_) => HeaderScope::File,
            Self::File(_) | Self::SinglePage(_) | Self::ErrorPage { .. } => HeaderScope::OtherPage,
        }
    }
}

/// No resource answers the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Unresolved {
    /// A rule redirects.
    Redirect { status: StatusCode, location: HeaderValue },
    /// What is asked for has another address: that of the request without its trailing slash and with each other slash once, and then this.
    Moved(&'static str),
    /// The site has no file for the path, and no 404 page to answer with.
    NotFound {
        /// Whether the response varies by `Sec-Fetch-Dest`.
        by_destination: bool,
    },
}

/// A file of a path.
enum Found {
    Here(Arc<Resource>),
    /// As [`Unresolved::Moved`].
    Moved(&'static str),
}

/// What comes first for a path.
pub(crate) enum First {
    /// A rule.
    Rule(AppliedRule),
    /// A file of the release, or an inherited one.
    File(Arc<Resource>),
    /// As [`Unresolved::Moved`].
    Moved(&'static str),
    /// Nothing: the single-page fallback or a 404 page answers, if there is one.
    Nothing,
}

impl First {
    /// Finds what comes first for `path`. `rule` is the first rule that applies to the request.
    pub(crate) fn find(channel: &Channel, path: &RequestPath<'_>, rule: Option<AppliedRule>) -> Self {
        let rule = match rule.filter(|rule| !leads_back(rule, channel, path)) {
            Some(rule) if rule.is_forced => return Self::Rule(rule),
            rule => rule,
        };
        match (find(channel, path), rule) {
            (Some(Found::Here(resource)), _) => Self::File(resource),
            (None, Some(rule)) => Self::Rule(rule),
            (Some(Found::Moved(_)), Some(rule)) if rule.is_literal || rule.is_redirect() => Self::Rule(rule),
            (Some(Found::Moved(suffix)), _) => Self::Moved(suffix),
            (None, None) => Self::Nothing,
        }
    }

    /// The number of the rule, if it is one.
    pub(crate) fn rule(&self) -> Option<usize> {
        if let Self::Rule(rule) = self { Some(rule.index) } else { None }
    }

    /// What answers the path. `destination` is that of the request.
    ///
    /// A missing asset gets a 404 page only if it is navigated to: a missing script or image must not be answered with HTML.
    pub(crate) fn resolve(
        self,
        channel: &Channel,
        path: &RequestPath<'_>,
        destination: impl Fn() -> Destination,
    ) -> Result<Resolution, Unresolved> {
        match self {
            Self::Rule(rule) => apply(rule, channel, path, destination),
            Self::File(resource) => Ok(Resolution::File(resource)),
            Self::Moved(suffix) => Err(Unresolved::Moved(suffix)),
            Self::Nothing => match channel.own().single_page() {
                Some(page) if is_navigation(path, destination()) => Ok(Resolution::SinglePage(Arc::clone(page))),
                fallback => not_found(channel, path, fallback.is_some(), destination),
            },
        }
    }
}

/// Resolves `path`. `rule` is the first rule that applies to the request, and `destination` that of the request.
pub(crate) fn resolve(
    channel: &Channel,
    path: &RequestPath<'_>,
    rule: Option<AppliedRule>,
    destination: impl Fn() -> Destination,
) -> Result<Resolution, Unresolved> {
    First::find(channel, path, rule).resolve(channel, path, destination)
}

/// Whether a request is for a page: a person who goes to a route that looks like a file gets the app.
fn is_navigation(path: &RequestPath<'_>, destination: Destination) -> bool {
    if is_asset(&path.decoded) { destination == Destination::Document } else { destination != Destination::Subresource }
}

/// Whether a rule redirects to where the page at `path` redirects back from: `/a.html` to `/a/` beside a file `a`.
fn leads_back(rule: &AppliedRule, channel: &Channel, path: &RequestPath<'_>) -> bool {
    let Some(target) = rule.redirects_to.as_deref().and_then(|target| RequestPath::parse(target).ok()) else {
        return false;
    };
    let Some(Found::Moved(suffix)) = find(channel, &target) else { return false };
    !path.has_trailing_slash && path.decoded.strip_suffix(suffix) == Some(&target.decoded)
}

/// What a rule says.
fn apply(
    rule: AppliedRule,
    channel: &Channel,
    path: &RequestPath<'_>,
    destination: impl Fn() -> Destination,
) -> Result<Resolution, Unresolved> {
    let (target, status) = match rule.outcome {
        RuleOutcome::Redirect { status, location } => return Err(Unresolved::Redirect { status, location }),
        RuleOutcome::Page { path, status } => (path, status),
    };
    let Some(resource) = file_at(channel, &target) else { return not_found(channel, path, false, destination) };
    if status != StatusCode::OK {
        return Ok(Resolution::ErrorPage { status, page: resource, by_destination: false });
    }
    // A pattern says nothing about a missing asset among its paths.
    if !rule.is_literal && resource.is_page() {
        return if is_navigation(path, destination()) {
            Ok(Resolution::SinglePage(resource))
        } else {
            not_found(channel, path, true, destination)
        };
    }
    Ok(Resolution::Rewritten(resource))
}

/// The file that answers for the target of a rule, whichever its address is.
fn file_at(channel: &Channel, target: &str) -> Option<Arc<Resource>> {
    let target = RequestPath::parse(target).ok().filter(RequestPath::can_match)?;
    let at = |name: &str, has_trailing_slash| match find_named(channel, HtmlPaths::Keep, name, has_trailing_slash)? {
        Found::Here(resource) => Some(resource),
        Found::Moved(_) => None,
    };
    at(&target.decoded, target.has_trailing_slash).or_else(|| at(&target.decoded, false))
}

/// A miss. `has_fallback` tells whether another destination would have got the fallback.
fn not_found(
    channel: &Channel,
    path: &RequestPath<'_>,
    has_fallback: bool,
    destination: impl Fn() -> Destination,
) -> Result<Resolution, Unresolved> {
    let is_asset = is_asset(&path.decoded);
    let page = not_found_page(path, channel.own());
    let by_destination = has_fallback || (is_asset && page.is_some());
    match page.filter(|_| !is_asset || destination() == Destination::Document) {
        Some(page) => {
            Ok(Resolution::ErrorPage { status: StatusCode::NOT_FOUND, page: Arc::clone(page), by_destination })
        }
        None => Err(Unresolved::NotFound { by_destination }),
    }
}

/// What has the path, or where it is.
fn find(channel: &Channel, path: &RequestPath<'_>) -> Option<Found> {
    let html_paths = channel.own().html_paths();
    if path.can_match() {
        return find_named(channel, html_paths, &path.decoded, path.has_trailing_slash);
    }
    let single = path.with_single_slashes().filter(|_| html_paths == HtmlPaths::Auto)?;
    match find_named(channel, html_paths, &single, path.has_trailing_slash)? {
        moved @ Found::Moved(_) => Some(moved),
        Found::Here(_) => Some(Found::Moved(if path.has_trailing_slash { "/" } else { "" })),
    }
}

fn find_named(channel: &Channel, html_paths: HtmlPaths, name: &str, has_trailing_slash: bool) -> Option<Found> {
    let exact = || channel.own().get(name).or_else(|| channel.inherited(name));
    if !has_trailing_slash && let Some(resource) = exact() {
        return Some(Found::Here(Arc::clone(resource)));
    }
    let mut candidate = String::with_capacity(name.len() + "/index.html".len());
    let mut page = |suffixes: [&'static str; 2]| {
        suffixes.into_iter().find_map(|suffix| {
            candidate.clear();
            candidate.push_str(name);
            candidate.push_str(suffix);
            channel.own().get(&candidate).map(|resource| (suffix, Found::Here(Arc::clone(resource))))
        })
    };
    if name.is_empty() {
        return page(["index.html", "index.htm"]).map(|(_, page)| page);
    }
    let of_file = [".html", ".htm"];
    let of_folder = ["/index.html", "/index.htm"];
    match (html_paths, has_trailing_slash) {
        (HtmlPaths::Keep, _) => page(of_file).or_else(|| page(of_folder)).map(|(_, page)| page),
        // Relative links of the page are below its folder.
        (HtmlPaths::Auto, false) => {
            page(of_file).map(|(_, page)| page).or_else(|| page(of_folder).map(|_| Found::Moved("/")))
        }
        (HtmlPaths::Auto, true) => page(of_folder).map(|(_, page)| page).or_else(|| {
            let (suffix, _) = page(of_file)?;
            // Without the suffix there is another file.
            Some(Found::Moved(if exact().is_some() { suffix } else { "" }))
        }),
    }
}

/// The `404.html` in the directory of the path, or in the nearest directory above it.
fn not_found_page<'a>(path: &RequestPath<'_>, own: &'a Resources) -> Option<&'a Arc<Resource>> {
    let directory = if path.has_trailing_slash { &*path.decoded } else { parent(&path.decoded) };
    own.not_found_page(directory)
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use verge_protocol::{Fallback, Lifetime};

    use super::*;
    use crate::serve::rules::{self, SiteHost};
    use crate::test_support::{ChannelBuilder, text_of};

    /// The text of the resource, after `200 ` or `404 `; `spa ` marks the fallback, and `*` a response that varies.
    fn resolved(channel: &Channel, path: &str, destination: Destination) -> String {
        let mark = |by_destination| if by_destination { "*" } else { "" };
        let host = SiteHost { name: "demo.example", port: None, is_tls: true, is_preview: false };
        let rule = rules::find(channel.own().rules().redirects(), &path.parse().unwrap(), &host);
        match resolve(channel, &RequestPath::parse(path).unwrap(), rule, || destination) {
            Ok(Resolution::File(resource)) => format!("200 {}", text_of(&resource)),
            Ok(Resolution::SinglePage(resource)) => format!("spa {}", text_of(&resource)),
            Ok(Resolution::Rewritten(resource)) => format!("rewritten {}", text_of(&resource)),
            Ok(Resolution::ErrorPage { status, page, by_destination }) => {
                format!("{}{} {}", status.as_u16(), mark(by_destination), text_of(&page))
            }
            Err(Unresolved::Redirect { status, location }) => format!("{} {location:?}", status.as_u16()),
            Err(Unresolved::Moved(suffix)) => format!("308 {suffix}"),
            Err(Unresolved::NotFound { by_destination }) => format!("404{}", mark(by_destination)),
        }
    }

    const PAGES: [&str; 9] =
        ["index.html", "a.html", "a/index.html", "b.htm", "c/index.html", "c/x.js", "d", "d.html", "e/index.htm"];

    #[test]
    fn each_page_has_one_address_to_which_others_redirect() {
        let channel = ChannelBuilder::new(&PAGES).build();
        for (path, answer) in [
            ("/", "200 index.html"),
            ("/index.html", "200 index.html"),
            ("/a", "200 a.html"),
            ("/a/", "200 a/index.html"),
            ("/a.html", "200 a.html"),
            ("/a/index.html", "200 a/index.html"),
            ("/b", "200 b.htm"),
            ("/b/", "308 "),
            ("/c", "308 /"),
            ("/c/", "200 c/index.html"),
            ("/d", "200 d"),
            // At /d there is another file.
            ("/d/", "308 .html"),
            ("/e", "308 /"),
            ("/e/", "200 e/index.htm"),
            ("/c/x.js/", "404"),
            ("/C", "404"),
            ("//", "308 /"),
            ("/c//x.js", "308 "),
            ("/c//", "308 /"),
            ("//c", "308 /"),
            ("//a//", "308 /"),
            ("//b//", "308 "),
            ("/c//y", "404"),
            ("//c%2fx.js", "404"),
            ("/c/../a", "404"),
            ("/%", "404"),
        ] {
            assert_eq!(resolved(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn addresses_can_be_kept_as_they_are() {
        let channel = ChannelBuilder::new(&PAGES).html(HtmlPaths::Keep).build();
        for (path, answer) in [
            ("/", "200 index.html"),
            ("/a", "200 a.html"),
            ("/a/", "200 a.html"),
            ("/b/", "200 b.htm"),
            ("/c", "200 c/index.html"),
            ("/c/", "200 c/index.html"),
            ("/d", "200 d"),
            ("/d/", "200 d.html"),
            ("/e", "200 e/index.htm"),
            ("//", "404"),
            ("/c//x.js", "404"),
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
            ("/docs%2Fx", "404 docs/404.html"),
            ("/docs/%ff", "404 docs/404.html"),
            ("/docs/../x", "404 docs/404.html"),
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
            // Routes that look like files.
            ("/report.pdf", Destination::Document, "spa index.html"),
            ("/report.pdf", Destination::Unknown, "404*"),
            ("/assets/old-chunk.js", Destination::Subresource, "404*"),
            ("/v1.2/notes.md", Destination::Document, "spa index.html"),
            ("/a%2Fb", Destination::Document, "spa index.html"),
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

    /// Where the response to a path leads, in the end: at most one redirect on.
    fn followed(channel: &Channel, path: &str) -> (String, usize) {
        let (mut path, mut redirects) = (path.to_owned(), 0);
        loop {
            let answer = resolved(channel, &path, Destination::Unknown);
            let Some(suffix) = answer.strip_prefix("308 ") else { return (answer, redirects) };
            let segments = path.split('/').filter(|segment| !segment.is_empty());
            path = segments.fold(String::new(), |path, segment| format!("{path}/{segment}")) + suffix;
            redirects += 1;
            assert!(redirects < 3, "{path}");
        }
    }

    #[test]
    fn rule_comes_after_a_file_and_before_other_addresses_unless_forced() {
        let channel =
            ChannelBuilder::new(&["index.html", "docs/index.html", "file.html", "data.json", "404.html", "gone.html"])
                .redirects(&[
                    ("/forced", "/file", 301, true),
                    ("/data.json", "/x", 301, true),
                    ("/file", "/y", 301, false),
                    ("/docs", "/manual", 302, false),
                    ("/old/*", "/docs/:splat", 200, false),
                    ("/api/:x", "/data.json", 200, false),
                    ("/gone/*", "/gone.html", 410, false),
                    ("/nowhere/*", "/missing.html", 200, false),
                    ("/same", "/same/", 301, false),
                    ("https://other.example/*", "/z", 301, true),
                ])
                .build();
        for (path, answer) in [
            ("/forced", "301 \"/file\""),
            ("/data.json", "301 \"/x\""),
            ("/file", "200 file.html"),
            ("/file/", "301 \"/y\""),
            ("/docs", "302 \"/manual\""),
            ("/docs/", "200 docs/index.html"),
            ("/old/", "spa docs/index.html"),
            ("/old/page", "404 404.html"),
            ("/api/1", "rewritten data.json"),
            ("/api/1/2", "404 404.html"),
            ("/gone/x.js", "410 gone.html"),
            ("/nowhere/x", "404 404.html"),
            ("/same", "404 404.html"),
            ("/", "200 index.html"),
        ] {
            assert_eq!(resolved(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn rule_that_leads_to_an_address_which_redirects_back_does_not_apply() {
        let channel = ChannelBuilder::new(&["d", "d.html", "e.html"])
            .redirects(&[("/d.html", "/d/", 301, true), ("/e.html", "/e/", 301, true)])
            .build();
        for (path, answer) in [
            ("/d.html", "200 d.html"),
            ("/d/", "308 .html"),
            // Here the page has another address than the rule is for.
            ("/e.html", "301 \"/e/\""),
            ("/e/", "308 "),
        ] {
            assert_eq!(resolved(&channel, path, Destination::Unknown), answer, "{path}");
        }
    }

    #[test]
    fn pattern_that_rewrites_to_a_page_never_answers_for_a_missing_asset() {
        let channel = ChannelBuilder::new(&["index.html", "app/index.html", "app/a.js"])
            .redirects(&[
                ("/app/*", "/app/index.html", 200, false),
                ("/named.js", "/index.html", 200, false),
                ("/*", "/index.html", 200, false),
            ])
            .build();
        for (path, destination, answer) in [
            ("/app/a.js", Destination::Unknown, "200 app/a.js"),
            ("/app", Destination::Unknown, "308 /"),
            ("/app/route", Destination::Unknown, "spa app/index.html"),
            ("/app/old.js", Destination::Unknown, "404*"),
            ("/app/old.js", Destination::Document, "spa app/index.html"),
            ("/app/route", Destination::Subresource, "404*"),
            ("/route", Destination::Document, "spa index.html"),
            ("/named.js", Destination::Unknown, "rewritten index.html"),
        ] {
            assert_eq!(resolved(&channel, path, destination), answer, "{path} {destination:?}");
        }
    }

    proptest! {
        /// A file that answers a path has that path, or is the page of it.
        #[test]
        fn resolved_file_is_named_by_the_path(path in "/(a|b|/|\\.|html|index|%2e|%61){0,8}", keep: bool) {
            let html = if keep { HtmlPaths::Keep } else { HtmlPaths::Auto };
            let channel = ChannelBuilder::new(&["a", "a.html", "b/index.html", "b/a/b.html"]).html(html).build();
            let path = RequestPath::parse(&path).unwrap();
            if let Ok(Resolution::File(resource)) = resolve(&channel, &path, None, || Destination::Unknown) {
                let file = text_of(&resource);
                let bare = file.strip_suffix(".html").unwrap_or(&file);
                prop_assert!([&*file, bare, bare.strip_suffix("/index").unwrap_or(bare)].contains(&&*path.decoded));
            }
        }

        /// Whatever files there are, a path redirects at most once, and where it redirects to there is a file; and every file can be reached.
        #[test]
        fn paths_redirect_at_most_once_and_to_a_file(
            files in proptest::collection::btree_set("(a|b)(/(a|b|index)){0,2}(|\\.html|\\.htm|\\.js)", 1..8),
            path in "/{1,3}(a|b|index)?(/{1,2}(a|b|index)){0,2}(|\\.html|\\.htm|\\.js)/{0,2}",
            keep: bool,
        ) {
            let files: Vec<&str> = files.iter().map(String::as_str).collect();
            let html = if keep { HtmlPaths::Keep } else { HtmlPaths::Auto };
            let channel = ChannelBuilder::new(&files).html(html).build();
            let (answer, redirects) = followed(&channel, &path);
            prop_assert!(redirects == 0 || (redirects == 1 && !keep && answer.starts_with("200 ")), "{} {}", path, answer);
            for file in files {
                prop_assert_eq!(followed(&channel, &format!("/{file}")), (format!("200 {file}"), 0));
            }
        }
    }
}
