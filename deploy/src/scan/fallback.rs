//! What answers paths that name no file.

use verge_protocol::{Fallback, SitePath};

const PAGE: &str = "index.html";

/// Whether a build is a single-page app, and how that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub(super) single_page: bool,
    pub(super) why: Why,
}

/// How it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A flag or `verge.toml` says so.
    Asked,
    /// `_redirects` has the rule.
    Rule,
    /// By the look of the files.
    Detected,
}

impl Decision {
    pub(super) fn fallback(self) -> Fallback {
        if self.single_page {
            Fallback::SinglePage { path: PAGE.parse().expect("a plain name is a path") }
        } else {
            Fallback::NotFound
        }
    }
}

/// Decides: what was `asked`, else the `rule`, else whether the one page of the whole tree is `index.html`.
pub(super) fn decide(asked: Option<bool>, rule: bool, paths: &[&SitePath]) -> Decision {
    match asked {
        Some(single_page) => Decision { single_page, why: Why::Asked },
        None if rule => Decision { single_page: true, why: Why::Rule },
        None => Decision { single_page: looks_like_an_app(paths), why: Why::Detected },
    }
}

fn looks_like_an_app(paths: &[&SitePath]) -> bool {
    let is_page = |path: &&&SitePath| {
        path.as_str()
            .rsplit_once('.')
            .is_some_and(|(_, ending)| ending.eq_ignore_ascii_case("html") || ending.eq_ignore_ascii_case("htm"))
    };
    let mut pages = paths.iter().filter(is_page);
    pages.next().is_some_and(|page| page.as_str() == PAGE) && pages.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(asked: Option<bool>, rule: bool, paths: &[&str]) -> (bool, Why) {
        let paths: Vec<SitePath> = paths.iter().map(|path| path.parse().unwrap()).collect();
        let decision = decide(asked, rule, &paths.iter().collect::<Vec<_>>());
        (decision.single_page, decision.why)
    }

    #[test]
    fn one_index_and_no_other_page_is_an_app() {
        assert_eq!(decided(None, false, &["assets/app.js", "index.html"]), (true, Why::Detected));
        for paths in [
            &["app.js"][..],
            &["404.html", "index.html"],
            &["a/index.html"],
            &["a/index.html", "index.html"],
            &["about.HTM", "index.html"],
        ] {
            assert_eq!(decided(None, false, paths), (false, Why::Detected), "{paths:?}");
        }
    }

    #[test]
    fn what_was_asked_comes_before_the_rule_and_that_before_the_look() {
        let site = &["404.html", "index.html"];
        assert_eq!(decided(Some(true), false, site), (true, Why::Asked));
        assert_eq!(decided(Some(false), true, &["index.html"]), (false, Why::Asked));
        assert_eq!(decided(None, true, site), (true, Why::Rule));
    }
}
