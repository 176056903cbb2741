//! The pages of a build, and what they link to.

use verge_protocol::{Build, HtmlPaths, SitePath};

use crate::scan::Scan;
use crate::scan::html::{Link, Page};

/// The pages of a build.
pub(super) struct Pages(pub(super) Vec<LinkingPage>);

/// A page, and what it links to.
pub(super) struct LinkingPage {
    pub(super) path: SitePath,
    pub(super) base: Option<String>,
    pub(super) links: Vec<Link>,
}

impl Pages {
    /// Reads the pages. One that cannot be read any more has no links.
    pub(super) fn read(scan: &Scan) -> Self {
        let read = |(path, source): (&SitePath, &std::path::PathBuf)| {
            let Page { base, links, .. } = Page::read(&String::from_utf8_lossy(&std::fs::read(source).ok()?));
            Some(LinkingPage { path: path.clone(), base, links })
        };
        Self(scan.paths.iter().filter(|(path, _)| is_page(path)).filter_map(read).collect())
    }

    /// The page at a path.
    pub(super) fn get(&self, path: &str) -> Option<&LinkingPage> {
        self.0.iter().find(|page| page.path.as_str() == path)
    }
}

/// Whether a file is a page.
pub(super) fn is_page(path: &SitePath) -> bool {
    let extension = path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension);
    ["html", "htm"].iter().any(|page| extension.eq_ignore_ascii_case(page))
}

/// The segments of the address of a page: the last one is empty if it ends with a slash.
pub(super) fn address<'a>(path: &'a SitePath, build: &Build) -> Vec<&'a str> {
    let (folder, name) = path.as_str().rsplit_once('/').map_or((None, path.as_str()), |(f, name)| (Some(f), name));
    let stem = name.strip_suffix(".html").or_else(|| name.strip_suffix(".htm")).unwrap_or(name);
    let last = match stem {
        "index" => "",
        stem if build.html == HtmlPaths::Auto => stem,
        _ => name,
    };
    folder.into_iter().flat_map(|folder| folder.split('/')).chain([last]).collect()
}
