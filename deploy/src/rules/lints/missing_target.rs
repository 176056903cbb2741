//! Redirects to a path of the site at which there is nothing.

use std::collections::HashSet;

use verge_protocol::rules::path_pattern::{Captures, Segment};
use verge_protocol::rules::redirect::Fields;
use verge_protocol::rules::{Action, Redirect, RedirectMatcher, SplitPath};

/// How many rules are looked at for all targets together: seconds of work.
const COMPARED_MAX: usize = 5_000_000;

/// The rules that may answer where redirects lead to, whatever else they ask of a request than the path.
pub(super) struct AnsweringRules {
    /// All rules in their order, without their conditions.
    unconditional: RedirectMatcher,
    budget: usize,
}

impl AnsweringRules {
    pub(super) fn new<'r>(rules: impl Iterator<Item = &'r Redirect>) -> Self {
        Self { unconditional: RedirectMatcher::new(rules.map(without_conditions).collect()), budget: COMPARED_MAX }
    }

    /// How the target of the rule at `index` is missed, if the rule redirects to one path of the site, at which neither one of `files` nor another
    /// rule answers. Without the budget to tell, it is not.
    pub(super) fn missing_target(&mut self, index: usize, rule: &Redirect, files: &HashSet<&str>) -> Option<Missing> {
        let is_to_one_path =
            matches!(rule.action(), Action::Redirect(_)) && !rule.to().has_captures() && rule.to().origin().is_none();
        if !is_to_one_path || has_file(files, rule) {
            return None;
        }
        let location = rule.to().path(&Captures::default());
        let rules = self.unconditional.rules();
        let matching =
            self.unconditional.covering(&rules[index], rules.len(), &SplitPath::new(&location), &mut self.budget);
        let may_answer = |other: &usize| *other != index && !is_for_all_misses(&rules[*other]);
        if self.budget == 0 || matching.iter().any(may_answer) {
            return None;
        }
        // The rule itself does not apply to where it leads.
        let for_misses = matching.iter().copied().filter(|other| *other != index).min();
        Some(for_misses.map_or(Missing::Unanswered, Missing::AnsweredAsMiss))
    }
}

/// What a reader finds at a target that is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Missing {
    /// The 404 page of the site.
    Unanswered,
    /// What the rule at this index answers to all misses: 404.
    AnsweredAsMiss(usize),
}

/// Whether it is the page for all paths that nothing else answers. One for fewer paths with status 404 may be meant for the target.
fn is_for_all_misses(rule: &Redirect) -> bool {
    rule.action() == Action::Error(404) && matches!(rule.from().segments(), [Segment::Wildcard])
}

/// A rule for the same paths that asks nothing of host and query.
fn without_conditions(rule: &Redirect) -> Redirect {
    let fields = Fields { from: rule.from().to_string(), query: [].into(), ..rule.clone().into() };
    fields.try_into().unwrap_or_else(|_| rule.clone())
}

/// Whether a file answers for the target of a rule.
pub(crate) fn has_file(files: &HashSet<&str>, rule: &Redirect) -> bool {
    let path = rule.to().path(&Captures::default());
    let path = SplitPath::new(&path);
    let name = (0..path.len()).filter_map(|index| path.decoded(index)).collect::<Vec<_>>().join("/");
    let index = if name.is_empty() { "index.htm".to_owned() } else { format!("{name}/index.htm") };
    let candidates = [name.clone(), format!("{name}.htm"), format!("{name}.html"), format!("{index}l"), index];
    candidates.iter().any(|candidate| files.contains(&**candidate))
}

#[cfg(test)]
mod tests {
    use verge_protocol::SitePath;

    use super::*;
    use crate::rules::redirects_file;

    const FILES: [&str; 7] =
        ["index.html", "docs/intro.html", "a/index.html", "b.htm", "café.html", "a b.txt", "x/y/index.html"];

    /// The lines of rules that redirect to nothing.
    fn lines(text: &str) -> Vec<usize> {
        let rules: Vec<(usize, Redirect)> =
            redirects_file::parse(text).map(|(line, rule)| (line, rule.unwrap())).collect();
        let files: Vec<SitePath> = FILES.map(|path| path.parse().unwrap()).into();
        let files: HashSet<&str> = files.iter().map(SitePath::as_str).collect();
        let mut answering = AnsweringRules::new(rules.iter().map(|(_, rule)| rule));
        let mut is_to_nothing =
            |(index, rule): (usize, &Redirect)| answering.missing_target(index, rule, &files).is_some();
        let found = rules.iter().enumerate().filter(|(index, (_, rule))| is_to_nothing((*index, rule)));
        found.map(|(_, (line, _))| *line).collect()
    }

    #[test]
    fn redirect_to_a_path_without_file_or_rule_is_found() {
        for to in ["/gone", "/gone/", "/x", "/docs", "/docs/intro/x", "/B", "/caf%C3%A8", "/gone?x=1", "/gone#docs"] {
            assert_eq!(lines(&format!("/old {to} 301")), [1], "{to}");
        }
        assert_eq!(lines("/* /gone 301"), [1], "it does not redirect from where it leads to");
        assert_eq!(lines("/old /gone 302\n/* /404.html 404"), [1], "the page of an error is no answer");
        assert_eq!(lines("/old x=1 /gone 302\nhttps://a.example/old /lost 302"), [1, 2]);
    }

    #[test]
    fn redirect_to_an_address_of_a_file_is_not_found() {
        for to in [
            "/",
            "/?page=2",
            "/#top",
            "/index.html",
            "/docs/intro",
            "/docs/intro/",
            "/docs/intro.html#part",
            "/docs/intro?x=/gone",
            "/docs/../docs//intro",
            "/a",
            "/a/",
            "/a/index.html",
            "/b",
            "/caf%C3%A9",
            "/café",
            "/cafe\u{301}",
            "/a%20b.txt",
            "/x/y",
        ] {
            assert_eq!(lines(&format!("/old {to} 301")), [0; 0], "{to}");
        }
    }

    #[test]
    fn redirect_that_another_rule_or_site_may_answer_is_not_found() {
        for text in [
            "/old https://b.example/gone 301",
            "/old/* /gone/:splat 301",
            "/old id=:id /gone/:id 301",
            "/old /gone 301\n/gone / 301",
            "/old /gone 301\n/gone /404 410",
            "/old /gone/x 301\n/gone/:name /a 200",
            "/old /gone 301\n/* /index.html 200",
            "/old /gone 301\nhttps://b.example/* https://a.example/:splat 301",
            "/old /gone 301\n/gone id=1 / 301",
            "/old /gone/x/y 301\n/gone/*/y/* / 301",
            "/* /gone 301\n/gone / 302",
            "/old /gone 200",
            "/old /gone/x 301\n/gone/* /b 404",
            "/old /gone/x 301\n/gone/:name /b 404",
            "/old /gone 301\n/gone /b 404",
            "/old /gone 301\n/g* /b 404",
        ] {
            assert_eq!(lines(text), [0; 0], "{text}");
        }
    }

    #[test]
    fn targets_of_many_rules_are_checked_in_bounded_time() {
        let mut rules: String =
            (0..5000).map(|id| format!("/gone id={id} /gone?to={id} 302\n")).collect::<Vec<_>>().concat();
        rules.push_str("/old /lost 301\n");
        assert_eq!(lines(&rules), [0; 0], "the budget was used up");
    }
}
