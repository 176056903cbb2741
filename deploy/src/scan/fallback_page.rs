//! How paths that match no file are answered.

use verge_protocol::{Fallback, SitePath};

const PAGE: &str = "index.html";

/// Whether a build is a single-page app, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FallbackChoice {
    pub(super) single_page: bool,
    pub(super) source: FallbackSource,
}

/// How it is known whether a build is a single-page app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FallbackSource {
    /// Set by a flag or `verge.toml`.
    Configured,
    /// `_redirects` has the rule.
    Redirects,
    /// Detected from the files.
    Detected,
}

impl FallbackChoice {
    pub(super) fn fallback(self) -> Fallback {
        if self.single_page {
            Fallback::SinglePage { path: PAGE.parse().expect("a file name is a valid path") }
        } else {
            Fallback::NotFound
        }
    }
}

/// What is `configured`, else the rule in `_redirects`, else whether `index.html` is the only page.
pub(super) fn decide(configured: Option<bool>, has_rule: bool, paths: &[&SitePath]) -> FallbackChoice {
    match configured {
        Some(single_page) => FallbackChoice { single_page, source: FallbackSource::Configured },
        None if has_rule => FallbackChoice { single_page: true, source: FallbackSource::Redirects },
        None => FallbackChoice { single_page: looks_like_an_app(paths), source: FallbackSource::Detected },
    }
}

fn looks_like_an_app(paths: &[&SitePath]) -> bool {
    let is_page = |path: &&&SitePath| {
        path.as_str().rsplit_once('.').is_some_and(|(_, extension)| {
            extension.eq_ignore_ascii_case("html") || extension.eq_ignore_ascii_case("htm")
        })
    };
    let mut pages = paths.iter().filter(is_page);
    pages.next().is_some_and(|page| page.as_str() == PAGE) && pages.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide_for(configured: Option<bool>, has_rule: bool, paths: &[&str]) -> (bool, FallbackSource) {
        let paths: Vec<SitePath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let choice = decide(configured, has_rule, &paths.iter().collect::<Vec<_>>());
        (choice.single_page, choice.source)
    }

    #[test]
    fn index_as_the_only_page_is_a_single_page_app() {
        assert_eq!(decide_for(None, false, &["assets/app.js", "index.html"]), (true, FallbackSource::Detected));
        for paths in [
            &["app.js"][..],
            &["404.html", "index.html"],
            &["a/index.html"],
            &["a/index.html", "index.html"],
            &["about.HTM", "index.html"],
        ] {
            assert_eq!(decide_for(None, false, paths), (false, FallbackSource::Detected), "{paths:?}");
        }
    }

    #[test]
    fn configuration_overrides_rule_which_overrides_detection() {
        let site = &["404.html", "index.html"];
        assert_eq!(decide_for(Some(true), false, site), (true, FallbackSource::Configured));
        assert_eq!(decide_for(Some(false), true, &["index.html"]), (false, FallbackSource::Configured));
        assert_eq!(decide_for(None, true, site), (true, FallbackSource::Redirects));
    }
}
