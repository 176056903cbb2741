//! The pages of a build, and what they link to.

use reqwest::Url;
use verge_protocol::{Build, HtmlPaths, SitePath};

use crate::scan::Scan;
use crate::scan::html::{Link, Page};

/// The host of the site: no other URL has it (RFC 6761 §6.4).
pub(super) const HOST: &str = "site.invalid";

/// What stands in a template for a URL, or a part of it.
const PLACEHOLDERS: [&str; 6] = ["{{", "{%", "${", "<%", "<?", "[["];

/// A page, and what it links to.
pub(super) struct LinkingPage<'a> {
    pub(super) path: &'a SitePath,
    /// What its URLs are relative to; `None`: another site.
    base: Option<Url>,
    /// Whether that depends on the path of the request.
    is_base_relative: bool,
    links: Vec<Link>,
}

/// The pages of a build, one after another. One that cannot be read any more is left out.
pub(super) fn read(scan: &Scan) -> impl Iterator<Item = LinkingPage<'_>> {
    let pages = scan.paths.iter().filter(|(path, _)| is_page(path));
    pages.filter_map(|(path, source)| {
        let html = std::fs::read(source).ok()?;
        Some(LinkingPage::new(path, Page::read(&String::from_utf8_lossy(&html)), &scan.build))
    })
}

impl<'a> LinkingPage<'a> {
    fn new(path: &'a SitePath, page: Page, build: &Build) -> Self {
        let is_base_relative = page.base.as_deref().is_none_or(is_relative);
        let own = own_url(path, build);
        let base = match page.base {
            Some(base) => own.and_then(|own| own.join(&base).ok()),
            None => own,
        };
        let is_url = |link: &Link| !PLACEHOLDERS.iter().any(|placeholder| link.url.contains(placeholder));
        Self { path, base, is_base_relative, links: page.links.into_iter().filter(is_url).collect() }
    }

    /// What it links to in the site, with its text.
    pub(super) fn targets<'s>(&'s self) -> impl Iterator<Item = (Url, &'s Link)> {
        let target = |link: &'s Link| {
            let mut url = self.base.as_ref()?.join(link.url.trim()).ok().filter(is_own)?;
            url.set_fragment(None);
            Some((url, link))
        };
        self.links.iter().filter_map(target)
    }

    /// A file that it loads by a URL that depends on the path of the request.
    pub(super) fn relative_file(&self) -> Option<&Link> {
        self.links.iter().filter(|_| self.is_base_relative).find(|link| link.is_file() && is_relative(&link.url))
    }
}

/// Whether a URL depends on the path of the request for the page that has it.
fn is_relative(url: &str) -> bool {
    let url = url.trim();
    let is_absolute = url.is_empty() || url.starts_with(['/', '#', '?', '\\']);
    !is_absolute && matches!(Url::parse(url), Err(url::ParseError::RelativeUrlWithoutBase))
}

/// Whether a URL is of the site.
pub(super) fn is_own(url: &Url) -> bool {
    url.scheme() == "https" && url.host_str() == Some(HOST) && url.port().is_none()
}

/// Whether a file is a page.
pub(super) fn is_page(path: &SitePath) -> bool {
    let extension = path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension);
    ["html", "htm"].iter().any(|page| extension.eq_ignore_ascii_case(page))
}

/// The URL of a page.
fn own_url(path: &SitePath, build: &Build) -> Option<Url> {
    let (folder, name) = match path.as_str().rsplit_once('/') {
        Some((folder, name)) => (Some(folder), name),
        None => (None, path.as_str()),
    };
    let stem = name.strip_suffix(".html").or_else(|| name.strip_suffix(".htm")).unwrap_or(name);
    let last = match stem {
        "index" => "",
        stem if build.html == HtmlPaths::Auto => stem,
        _ => name,
    };
    let mut url: Url = format!("https://{HOST}/").parse().ok()?;
    let segments = folder.into_iter().flat_map(|folder| folder.split('/')).chain([last]);
    url.path_segments_mut().ok()?.clear().extend(segments);
    Some(url)
}
