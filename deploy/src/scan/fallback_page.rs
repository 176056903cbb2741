//! How paths that match no file are answered.

use verge_protocol::{Fallback, SitePath};

use super::app_shell;
use super::walk::ScannedFile;

const INDEX: &str = "index.html";

/// The page that `SvelteKit` and others write for paths without a page of their own, beside the pages that they render.
const FALLBACK_PAGE: &str = "200.html";

/// Which page answers paths that match no file, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FallbackChoice {
    /// `None`: it is no single-page app.
    pub(super) page: Option<&'static str>,
    pub(super) source: FallbackSource,
}

/// How it is known whether a build is a single-page app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FallbackSource {
    /// Set by a flag or `verge.toml`.
    Configured,
    /// `_redirects` has the rule.
    Redirects,
    /// Detected from the files, with the evidence as a phrase.
    Detected(String),
    /// `index.html` is the only page and has a script, but is not known to be that of an app.
    Undecided,
    /// Nothing speaks for it.
    None,
}

impl FallbackChoice {
    pub(super) fn fallback(&self) -> Fallback {
        match self.page {
            Some(page) => Fallback::SinglePage { path: page.parse().expect("a file name is a valid path") },
            None => Fallback::NotFound,
        }
    }
}

/// What is `configured`, else the rule in `_redirects`, else what the pages say.
pub(super) fn decide(configured: Option<bool>, has_rule: bool, files: &[ScannedFile]) -> FallbackChoice {
    match configured {
        Some(single_page) => FallbackChoice { page: single_page.then_some(INDEX), source: FallbackSource::Configured },
        None if has_rule => FallbackChoice { page: Some(INDEX), source: FallbackSource::Redirects },
        None => detect(files),
    }
}

/// An app has one page, or beside others a `200.html` and no `404.html`; and that page says so.
fn detect(files: &[ScannedFile]) -> FallbackChoice {
    let none = |source| FallbackChoice { page: None, source };
    let pages: Vec<&ScannedFile> = files.iter().filter(|file| is_page(&file.path)).collect();
    let is_only_page = matches!(pages[..], [page] if page.path.as_str() == INDEX);
    let candidate = if is_only_page {
        INDEX
    } else if !pages.iter().any(|page| page.path.as_str() == "404.html") {
        FALLBACK_PAGE
    } else {
        return none(FallbackSource::None);
    };
    let Some(file) = pages.iter().find(|page| page.path.as_str() == candidate) else {
        return none(FallbackSource::None);
    };
    // A file that cannot be read is reported when it is hashed.
    match app_shell::evidence(&file.source).unwrap_or_default() {
        Some(evidence) => FallbackChoice { page: Some(candidate), source: FallbackSource::Detected(evidence) },
        None if is_only_page && files.iter().any(|file| is_script(&file.path)) => none(FallbackSource::Undecided),
        None => none(FallbackSource::None),
    }
}

fn extension(path: &SitePath) -> &str {
    path.file_name().rsplit_once('.').map_or("", |(_, extension)| extension)
}

fn is_page(path: &SitePath) -> bool {
    ["html", "htm"].iter().any(|page| extension(path).eq_ignore_ascii_case(page))
}

fn is_script(path: &SitePath) -> bool {
    matches!(extension(path), "js" | "mjs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const APP: &str = "<div id=app></div><script type=module src=/app.js></script>";

    fn decide_for(configured: Option<bool>, has_rule: bool, files: &[(&str, &str)]) -> FallbackChoice {
        let dir = tempfile::tempdir().unwrap();
        let file = |(path, text): &(&str, &str)| {
            let source = dir.path().join(path.replace('/', "+"));
            std::fs::write(&source, text).unwrap();
            ScannedFile { path: path.parse().unwrap(), source, size: text.len() as u64 }
        };
        decide(configured, has_rule, &files.iter().map(file).collect::<Vec<_>>())
    }

    #[test]
    fn index_as_the_only_page_is_an_app_if_it_looks_like_one() {
        let choice = decide_for(None, false, &[("app.js", ""), ("index.html", APP)]);
        assert_eq!(choice.page, Some("index.html"));
        assert_eq!(choice.source, FallbackSource::Detected("<div id=\"app\"> and the script /app.js".to_owned()));
        for other in ["404.html", "a/index.html", "about.HTM"] {
            let choice = decide_for(None, false, &[(other, APP), ("index.html", APP)]);
            assert_eq!(choice, FallbackChoice { page: None, source: FallbackSource::None }, "{other}");
        }
        assert_eq!(decide_for(None, false, &[("a/index.html", APP)]).page, None);
    }

    #[test]
    fn plain_index_is_undecided_only_beside_a_script() {
        let source = |files: &[(&str, &str)]| decide_for(None, false, files).source;
        assert_eq!(source(&[("index.html", "<h1>Hello</h1>")]), FallbackSource::None);
        assert_eq!(source(&[("index.html", "<h1>Hello</h1>"), ("menu.js", "")]), FallbackSource::Undecided);
    }

    #[test]
    fn fallback_page_of_a_generator_is_used_unless_there_is_a_404_page() {
        let pages = [("200.html", APP), ("about.html", "<h1>Us</h1>"), ("index.html", "<h1>Home</h1>")];
        assert_eq!(decide_for(None, false, &pages).page, Some("200.html"));
        assert_eq!(decide_for(None, false, &[&pages[..], &[("404.html", "")]].concat()).page, None);
        assert_eq!(decide_for(None, false, &[("200.html", "<p>OK"), ("index.html", APP)]).page, None);
    }

    #[test]
    fn configuration_overrides_rule_which_overrides_detection() {
        let site = [("404.html", ""), ("index.html", "")];
        assert_eq!(decide_for(Some(true), false, &site).source, FallbackSource::Configured);
        assert_eq!(decide_for(Some(true), false, &site).page, Some("index.html"));
        assert_eq!(decide_for(Some(false), true, &[("index.html", APP)]).page, None);
        assert_eq!(decide_for(None, true, &site).source, FallbackSource::Redirects);
    }
}
