//! Finds the first of many redirect rules that applies to a request.

use std::collections::{HashMap, HashSet};

use super::path_pattern::{Captures, Segment, SplitPath};
use super::redirect::Redirect;
use super::rule_request::RuleRequest;

/// Redirect rules in their order, compiled to a tree of segments: the cost of a request grows with its path and with the rules that
/// match its path, not with the number of rules.
#[derive(Debug, Default)]
pub struct RedirectMatcher {
    rules: Vec<Redirect>,
    root: Node,
}

/// What may follow a sequence of segments. Rules are numbers in their order.
#[derive(Debug, Default)]
struct Node {
    /// The first rule here or below.
    first: Option<usize>,
    /// Rules that end here.
    ends: Vec<usize>,
    literals: HashMap<Box<str>, Node>,
    placeholder: Option<Box<Node>>,
    /// What may follow a wildcard. Its `ends` are those that the wildcard ends.
    wildcard: Option<Box<Node>>,
    /// What may follow a prefix with its wildcard.
    prefixes: Vec<(Box<str>, Node)>,
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
    /// Compiles `rules`.
    pub fn new(rules: Vec<Redirect>) -> Self {
        let mut root = Node::default();
        for (index, rule) in rules.iter().enumerate() {
            root.add(rule.from().segments(), index);
        }
        Self { rules, root }
    }

    /// The rules in their order.
    pub fn rules(&self) -> &[Redirect] {
        &self.rules
    }

    /// The first rule that applies to `request`.
    pub fn find<'r>(&'r self, request: &RuleRequest<'r>) -> Option<Match<'r>> {
        self.root.first?;
        let mut search = Search { rules: &self.rules, request, rejected: HashSet::new(), best: None };
        visit(&self.root, request.path, 0, &mut search);
        search.best
    }

    /// The numbers of all rules whose pattern matches `path`, whatever else they ask of a request.
    pub fn matching_paths(&self, path: &SplitPath<'_>) -> Vec<usize> {
        let mut found = AllRules(Vec::new());
        visit(&self.root, path, 0, &mut found);
        found.0.sort_unstable();
        found.0.dedup();
        found.0
    }
}

impl Node {
    fn has_children(&self) -> bool {
        !self.literals.is_empty() || self.placeholder.is_some() || self.wildcard.is_some() || !self.prefixes.is_empty()
    }

    fn add(&mut self, segments: &[Segment], index: usize) {
        self.first.get_or_insert(index);
        match segments.split_first() {
            None => self.ends.push(index),
            Some((Segment::Literal(text), rest)) => self.literals.entry(text.clone()).or_default().add(rest, index),
            Some((Segment::Placeholder(_), rest)) => self.placeholder.get_or_insert_default().add(rest, index),
            Some((Segment::Wildcard, rest)) => self.wildcard.get_or_insert_default().add(rest, index),
            Some((Segment::Prefix(text), rest)) => {
                let known = self.prefixes.iter().position(|(prefix, _)| prefix == text);
                let at = known.unwrap_or_else(|| {
                    self.prefixes.push((text.clone(), Self::default()));
                    self.prefixes.len() - 1
                });
                self.prefixes[at].1.add(rest, index);
            }
        }
    }
}

/// What a walk through the tree is for.
trait Visitor {
    /// Whether rules from this number on are of interest.
    fn wants(&self, first: Option<usize>) -> bool;
    /// The patterns of these rules match the path; they are in their order.
    fn offer(&mut self, rules: &[usize]);
}

/// Offers all rules at `node` or below that match `path` from the segment `at`.
fn visit(node: &Node, path: &SplitPath<'_>, at: usize, visitor: &mut impl Visitor) {
    if !visitor.wants(node.first) {
        return;
    }
    if at == path.len() {
        visitor.offer(&node.ends);
    }
    if let Some(segment) = path.decoded(at) {
        if let Some(next) = node.literals.get(segment) {
            visit(next, path, at + 1, visitor);
        }
        if let Some(next) = &node.placeholder
            && !segment.is_empty()
        {
            visit(next, path, at + 1, visitor);
        }
        for (prefix, next) in &node.prefixes {
            if segment.starts_with(&**prefix) {
                visit_after_wildcard(next, path, at + 1, visitor);
            }
        }
    }
    if let Some(next) = &node.wildcard {
        visit_after_wildcard(next, path, at, visitor);
    }
}

/// As [`visit`], after a wildcard that takes the segments up to `at` or more.
fn visit_after_wildcard(node: &Node, path: &SplitPath<'_>, at: usize, visitor: &mut impl Visitor) {
    visitor.offer(&node.ends);
    if node.has_children() {
        for end in at..=path.len() {
            visit(node, path, end, visitor);
        }
    }
}

/// Looks for the first rule that applies to a request.
struct Search<'r, 's> {
    rules: &'r [Redirect],
    request: &'s RuleRequest<'r>,
    /// Rules that match the path and do not apply: a wildcard may come to a rule in many ways.
    rejected: HashSet<usize>,
    best: Option<Match<'r>>,
}

impl Visitor for Search<'_, '_> {
    fn wants(&self, first: Option<usize>) -> bool {
        first.is_some_and(|first| self.best.as_ref().is_none_or(|best| first < best.index))
    }

    fn offer(&mut self, rules: &[usize]) {
        for &index in rules {
            if !self.wants(Some(index)) {
                return;
            }
            if self.rejected.contains(&index) {
                continue;
            }
            if let Some(captures) = self.rules[index].captures(self.request) {
                self.best = Some(Match { index, rule: &self.rules[index], captures });
                return;
            }
            self.rejected.insert(index);
        }
    }
}

struct AllRules(Vec<usize>);

impl Visitor for AllRules {
    fn wants(&self, _first: Option<usize>) -> bool {
        true
    }

    fn offer(&mut self, rules: &[usize]) {
        self.0.extend(rules);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::redirect::Fields;
    use super::*;

    fn rule(from: &str, query: Option<&str>) -> Redirect {
        let query = query.map(|name| (name.to_owned(), "1".to_owned())).into_iter().collect();
        Fields { from: from.to_owned(), query, to: "/t".to_owned(), status: 301, force: false }.try_into().unwrap()
    }

    fn found(matcher: &RedirectMatcher, path: &str, query: Option<&str>) -> Option<usize> {
        let path = SplitPath::new(path);
        let request = RuleRequest { scheme: "https", host: "a.example", port: None, path: &path, query };
        matcher.find(&request).map(|found| found.index)
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
            rules in proptest::collection::vec(("/((a|b|:x|\\*|a\\*)(/(a|b|c|:y)){1,2}(/\\*|/a\\*|/)?)?", proptest::option::of("q|r")), 0..12),
            path in "/{1,2}((a|b|c|%61|ab)/?){0,4}",
            query in proptest::option::of("(q|r)=1"),
        ) {
            let rules: Vec<Redirect> = rules.iter().map(|(from, query)| rule(from, query.as_deref())).collect();
            let split = SplitPath::new(&path);
            let query = query.as_deref();
            let request = RuleRequest { scheme: "http", host: "a.example", port: None, path: &split, query };
            let expected = rules.iter().position(|rule| rule.captures(&request).is_some());
            prop_assert_eq!(found(&RedirectMatcher::new(rules), &path, query), expected);
        }
    }
}
