//! Finds the first of many redirect rules that applies to a request.

use std::collections::HashMap;

use super::path_pattern::Captures;
use super::pattern_tree::{EndId, PatternTree, RootId, Visitor};
use super::query_index::QueryIndex;
use super::redirect::Redirect;
use super::rule_request::RuleRequest;
use super::split_path::SplitPath;

/// How many rules that are for a request, but lead to it themselves, are tried.
const SELF_REDIRECTS_MAX: usize = 16;

/// Redirect rules in their order, compiled: the cost of a request grows with its path, its query and the rules whose host, pattern and query
/// match it, not with the number of rules.
#[derive(Debug, Default)]
pub struct RedirectMatcher {
    rules: Vec<Redirect>,
    /// A tree of the rules for any host, and one for each scheme and host that rules name.
    patterns: PatternTree,
    /// The trees of hosts, by their scheme.
    hosts: HashMap<&'static str, HashMap<Box<str>, RootId>>,
    queries: QueryIndex,
    /// Rules with two wildcards, which are compared one by one.
    with_two_wildcards: Vec<u32>,
}

/// A rule that applies to a request.
#[derive(Debug)]
pub struct Match<'r> {
    /// The number of the rule in the order of the rules.
    pub index: usize,
    /// The rule.
    pub rule: &'r Redirect,
    /// What it captures of the request.
    pub captures: Captures<'r>,
}

impl RedirectMatcher {
    /// Compiles `rules`, of which there are fewer than 2³².
    pub fn new(rules: Vec<Redirect>) -> Self {
        let mut patterns = PatternTree::default();
        let mut hosts: HashMap<&str, HashMap<Box<str>, RootId>> = HashMap::new();
        let mut with_two_wildcards = Vec::new();
        for (index, rule) in (0..u32::MAX).zip(&rules) {
            if rule.from().has_two_wildcards() {
                with_two_wildcards.push(index);
                continue;
            }
            let root = match rule.site() {
                None => PatternTree::ROOT,
                Some((scheme, host)) => {
                    *hosts.entry(scheme).or_default().entry(host.into()).or_insert_with(|| patterns.add_root())
                }
            };
            patterns.add(root, rule.from().segments(), index);
        }
        let queries = QueryIndex::new(&rules, &mut patterns);
        Self { rules, patterns, hosts, queries, with_two_wildcards }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Redirect] {
        &self.rules
    }

    /// The first rule that applies to `request`. Of those that match it, but do not apply since they lead to it themselves, at most 16 are
    /// tried.
    pub fn find<'r>(&'r self, request: &RuleRequest<'r>) -> Option<Match<'r>> {
        if self.rules.is_empty() {
            return None;
        }
        let mut search = Search { matcher: self, request, rejected: 0, best: None };
        for root in self.roots(Some((request.scheme, request.host))) {
            self.patterns.visit(root, request.path(), &mut search);
        }
        search.offer(&self.with_two_wildcards);
        search.best
    }

    /// The numbers of rules before `end` whose pattern matches `path`, and that ask nothing of host and query that `rule` does not ask. In
    /// their order. Each rule that is looked at takes one from `budget`; once it is used up, none is found.
    pub fn covering(&self, rule: &Redirect, end: usize, path: &SplitPath<'_>, budget: &mut usize) -> Vec<usize> {
        let mut covering = Covering { matcher: self, rule, end, budget, found: Vec::new() };
        for root in self.roots(rule.site()) {
            self.patterns.visit(root, path, &mut covering);
        }
        let matches = |index: &u32| self.rules[*index as usize].from().captures(path).is_some();
        let matching: Vec<u32> = self.with_two_wildcards.iter().copied().filter(matches).collect();
        covering.offer(&matching);
        let mut found = covering.found;
        found.sort_unstable();
        found
    }

    /// The trees of rules for any host and for this one, if any.
    fn roots(&self, site: Option<(&str, &str)>) -> impl Iterator<Item = RootId> {
        let of_host = site.and_then(|(scheme, host)| self.hosts.get(scheme)?.get(host));
        std::iter::once(PatternTree::ROOT).chain(of_host.copied())
    }
}

/// Looks for the first rule that applies to a request.
struct Search<'r, 's> {
    matcher: &'r RedirectMatcher,
    request: &'s RuleRequest<'r>,
    rejected: usize,
    best: Option<Match<'r>>,
}

impl Search<'_, '_> {
    /// Tries rules in their order.
    fn offer(&mut self, rules: &[u32]) {
        for index in rules {
            if !self.wants(*index) {
                return;
            }
            let (index, rule) = (*index as usize, &self.matcher.rules[*index as usize]);
            let Some(captures) = rule.matched(self.request) else { continue };
            if rule.comes_to_an_end(self.request, &captures) {
                self.best = Some(Match { index, rule, captures });
                return;
            }
            self.rejected += 1;
        }
    }
}

impl Visitor for Search<'_, '_> {
    fn wants(&self, first: u32) -> bool {
        self.rejected < SELF_REDIRECTS_MAX && self.best.as_ref().is_none_or(|best| (first as usize) < best.index)
    }

    fn visit(&mut self, end: EndId, rules: &[u32]) {
        self.offer(rules);
        let matcher = self.matcher;
        matcher.queries.for_each_matching(end, self.request, &mut |rules| self.offer(rules));
    }
}

/// Looks for all rules that apply whenever a rule does, as far as conditions tell.
struct Covering<'r, 's> {
    matcher: &'r RedirectMatcher,
    rule: &'s Redirect,
    end: usize,
    budget: &'s mut usize,
    found: Vec<usize>,
}

impl Covering<'_, '_> {
    fn offer(&mut self, rules: &[u32]) {
        for index in rules.iter().map(|index| *index as usize).take_while(|index| *index < self.end) {
            let Some(left) = self.budget.checked_sub(1) else { return };
            *self.budget = left;
            let rule = &self.matcher.rules[index];
            if rule.asks_no_more_than(self.rule) {
                self.found.push(index);
            }
        }
    }
}

impl Visitor for Covering<'_, '_> {
    fn wants(&self, first: u32) -> bool {
        *self.budget > 0 && (first as usize) < self.end
    }

    fn visit(&mut self, end: EndId, rules: &[u32]) {
        self.offer(rules);
        let matcher = self.matcher;
        for (name, value) in self.rule.parameters() {
            self.offer(matcher.queries.rules_for(end, name, None));
            if value.is_some() {
                self.offer(matcher.queries.rules_for(end, name, value));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::redirect::Fields;
    use super::*;

    const HOSTS: [&str; 4] = ["", "https://a.example", "http://a.example", "https://b.example"];

    fn rule(from: &str, query: Option<&str>) -> Redirect {
        let query = query.map(|name| (name.to_owned(), "1".to_owned())).into_iter().collect();
        Fields { from: from.to_owned(), query, to: "/t".to_owned(), status: 301, force: false }.try_into().unwrap()
    }

    fn found(matcher: &RedirectMatcher, path: &str, query: Option<&str>) -> Option<usize> {
        let path = SplitPath::new(path);
        matcher.find(&RuleRequest::new("https", "a.example", None, &path, query)).map(|found| found.index)
    }

    #[test]
    fn first_rule_that_applies_is_found() {
        let from = ["/a/:x", "/a/b", "https://b.example/c", "/c", "/*", "/d"];
        let matcher = RedirectMatcher::new(from.iter().map(|from| rule(from, None)).collect());
        for (path, index) in [("/a/b", 0), ("/a", 4), ("/c", 3), ("/d", 4), ("/", 4)] {
            assert_eq!(found(&matcher, path, None), Some(index), "{path}");
        }
        let matcher = RedirectMatcher::new(vec![rule("/a", Some("q")), rule("/a", None), rule("/a", Some("r"))]);
        assert_eq!(found(&matcher, "/a", Some("q=1")), Some(0));
        assert_eq!(found(&matcher, "/a", Some("r=1")), Some(1));
        assert_eq!(found(&RedirectMatcher::default(), "/a", None), None);
    }

    proptest! {
        /// The tree finds what going through all rules finds.
        #[test]
        fn tree_finds_the_first_rule_of_the_list(
            rules in proptest::collection::vec((0..HOSTS.len(), "/((a|b|:x|\\*|a\\*)(/(a|b|c|:y)){1,2}(/\\*|/a\\*|/)?)?", proptest::option::of("q|r")), 0..12),
            path in "/{1,2}((a|b|c|%61|ab)/?){0,4}",
            query in proptest::option::of("(q|r)=1"),
        ) {
            let new = |(host, from, query): &(usize, String, Option<String>)| {
                rule(&format!("{}{from}", HOSTS[*host]), query.as_deref())
            };
            let rules: Vec<Redirect> = rules.iter().map(new).collect();
            let (split, query) = (SplitPath::new(&path), query.as_deref());
            let request = RuleRequest::new("https", "a.example", None, &split, query);
            let expected = rules.iter().position(|rule| rule.captures(&request).is_some());
            prop_assert_eq!(found(&RedirectMatcher::new(rules), &path, query), expected);
        }
    }
}
