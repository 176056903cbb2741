//! Redirect rules that can never apply, because an earlier one comes first.

use std::collections::HashMap;

use verge_protocol::rules::path_pattern::Segment;
use verge_protocol::rules::{Redirect, RedirectMatcher, SplitPath};

/// How many rules for the same requests a later one for these is compared with before it is compared with others.
const FIRST_MAX: usize = 4;

/// What is known of rules, by their index.
#[derive(Debug, Default)]
pub(super) struct ShadowedRules {
    by: Vec<Option<usize>>,
    unchecked: Option<usize>,
}

impl ShadowedRules {
    /// Compares `rules`, `budget` pairs of them at most.
    ///
    /// A rule for the same requests as an earlier one that applies to all of them is compared with no other: what it shadows, that one does. So
    /// thousands of rules for one path cost little.
    pub(super) fn new(rules: &[&Redirect], mut budget: usize) -> Self {
        let firsts = firsts(rules);
        let compared: Vec<usize> = (0..rules.len()).filter(|index| firsts[*index].is_none()).collect();
        let matcher = RedirectMatcher::new(compared.iter().map(|index| rules[*index].clone()).collect());
        let mut shadowed = Self { by: vec![None; rules.len()], unchecked: None };
        for (position, index) in compared.iter().enumerate() {
            shadowed.by[*index] = shadowing(&matcher, position, &mut budget).map(|earlier| compared[earlier]);
            if budget == 0 {
                shadowed.unchecked.get_or_insert(*index);
            }
        }
        for (index, first) in firsts.into_iter().enumerate().filter_map(|(index, first)| Some((index, first?))) {
            let before_first = shadowed.by[first].filter(|earlier| rules[*earlier].applies_to_all_of(rules[index]));
            shadowed.by[index] = Some(before_first.unwrap_or(first));
        }
        shadowed
    }

    /// A rule before the one at `index` that applies whenever that would.
    pub(super) fn by(&self, index: usize) -> Option<usize> {
        self.by.get(index).copied().flatten()
    }

    /// The first rule from which on not all are known; `None`: all are.
    pub(super) fn unchecked(&self) -> Option<usize> {
        self.unchecked
    }
}

/// The requests that a rule is for: the site, the segments without the names of placeholders, and the parameters of the query.
type Requests<'r> = (Option<(&'static str, &'r str)>, Vec<Segment>, Vec<(&'r str, Option<&'r str>)>);

fn requests(rule: &Redirect) -> Requests<'_> {
    let segments = rule.from().segments().iter().map(|segment| match segment {
        Segment::Placeholder(_) => Segment::Placeholder("".into()),
        other => other.clone(),
    });
    (rule.site(), segments.collect(), rule.parameters().collect())
}

/// For each rule an earlier one for the same requests that applies to all of them, if one of the first has been found to.
fn firsts(rules: &[&Redirect]) -> Vec<Option<usize>> {
    let mut by_requests: HashMap<Requests<'_>, Vec<usize>> = HashMap::new();
    let mut found = Vec::with_capacity(rules.len());
    for (index, rule) in rules.iter().enumerate() {
        let firsts = by_requests.entry(requests(rule)).or_default();
        let first = firsts.iter().copied().find(|first| rules[*first].applies_to_all_of(rule));
        if first.is_none() && firsts.len() < FIRST_MAX {
            firsts.push(index);
        }
        found.push(first);
    }
    found
}

/// A rule before the one at `index` that applies whenever that would. What is compared is taken from `budget`.
fn shadowing(matcher: &RedirectMatcher, index: usize, budget: &mut usize) -> Option<usize> {
    let rule = &matcher.rules()[index];
    let mut candidates: Option<Vec<usize>> = None;
    for example in rule.from().examples() {
        let covering = matcher.covering(rule, index, &SplitPath::new(&example), budget);
        candidates = Some(match candidates {
            None => covering.into_iter().filter(|earlier| matcher.rules()[*earlier].applies_to_all_of(rule)).collect(),
            Some(before) => before.into_iter().filter(|earlier| covering.binary_search(earlier).is_ok()).collect(),
        });
        if candidates.as_ref().is_some_and(Vec::is_empty) {
            return None;
        }
    }
    candidates?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rules::redirects_file;

    fn shadowed(text: &str) -> ShadowedRules {
        let rules: Vec<Redirect> = redirects_file::parse(text).map(|(_, rule)| rule.unwrap()).collect();
        ShadowedRules::new(&rules.iter().collect::<Vec<_>>(), 100_000)
    }

    fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
        (0..count).map(|id| line(id) + "\n").collect()
    }

    #[test]
    fn rules_for_one_path_are_all_named_and_compared_with_no_later_one() {
        for first in ["/x/* /a", "https://a.example/:y/x k=:v /a", "/:x /a\n/x /b"] {
            let from = first.lines().last().unwrap().rsplit_once(' ').unwrap().0.replace(":y", ":z");
            let at = first.lines().count() - 1;
            let text = format!("{first}\n{}", lines(20_000, |id| format!("{from} /b{id}")));
            let shadowed = shadowed(&text);
            assert_eq!(shadowed.unchecked(), None, "{first}");
            assert!((at + 1..at + 20_001).all(|index| shadowed.by(index) == Some(0)), "{first}");
        }
        let others = lines(10_000, |id| format!("/x/* /a{id}")) + &lines(10_000, |id| format!("/x/p{id} /b"));
        let shadowed = shadowed(&others);
        assert!(shadowed.unchecked().is_none() && (1..20_000).all(|index| shadowed.by(index) == Some(0)));
    }

    #[test]
    fn rule_is_shadowed_by_the_first_that_applies_to_all_of_its_requests() {
        let by = |text: &str| {
            let shadowed = shadowed(text);
            (0..text.lines().count()).map(|index| shadowed.by(index)).collect::<Vec<_>>()
        };
        assert_eq!(by("/x/* /x/y/:splat\n/x/* /z\n/x/* /w\n/x/y /v"), [None, None, Some(1), Some(1)]);
        assert_eq!(by("/x/* /a\n/x/y /b\n/x/y /c"), [None, Some(0), Some(0)]);
        assert_eq!(by("/x k=1 /a\n/x /b\n/x k=1 /c\n/x k=2 /d"), [None, None, Some(0), Some(1)]);
        assert_eq!(by("/x/* /x/y\n/x/y /b\n/x/y /c"), [None, None, Some(1)]);
    }

    #[test]
    fn rules_that_each_lead_to_the_others_requests_are_compared_in_bounded_time() {
        let shadowed = shadowed(&lines(1000, |id| format!("/x/* /x/y{id}/:splat")));
        assert!(shadowed.unchecked().is_some_and(|index| (200..500).contains(&index)), "{:?}", shadowed.unchecked());
        assert!((0..1000).all(|index| shadowed.by(index).is_none()));
    }
}
