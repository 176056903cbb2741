//! Rules for the same paths that differ in the query they ask for.

use std::collections::HashMap;

use super::pattern_tree::{EndId, PatternTree};
use super::redirect::Redirect;
use super::rule_request::RuleRequest;

/// Rules by one of the parameters that they ask for, for each place where patterns end: thousands of rules of one path, such as
/// `/index.php id=N`, cost a request like one.
#[derive(Debug, Default)]
pub(super) struct QueryIndex {
    by_end: HashMap<EndId, HashMap<Box<str>, ParameterRules>>,
}

/// Rules that ask for a parameter, in their order.
#[derive(Debug, Default)]
struct ParameterRules {
    /// With any value.
    any: Vec<u32>,
    by_value: HashMap<Box<str>, Vec<u32>>,
}

/// Fewer rules of one place are compared one by one.
const INDEXED_MIN: usize = 4;

impl QueryIndex {
    /// Takes rules that ask for parameters out of `patterns`, where a place has several of them.
    pub(super) fn new(rules: &[Redirect], patterns: &mut PatternTree) -> Self {
        let mut index = Self::default();
        let asks = |rule: &u32| rules[*rule as usize].parameters().next().is_some();
        for (end, ends) in patterns.ends() {
            let asking: Vec<u32> = ends.iter().copied().filter(asks).collect();
            if asking.len() >= INDEXED_MIN {
                index.by_end.insert(end, by_rarest_parameter(rules, &asking));
            }
        }
        for end in index.by_end.keys() {
            patterns.retain_ends(*end, |rule| !asks(rule));
        }
        index
    }

    /// Calls `offer` with rules at `end` that may ask for a query as that of the request: all that do are among them, each once. Each list is
    /// in its order.
    pub(super) fn for_each_matching(&self, end: EndId, request: &RuleRequest<'_>, offer: &mut impl FnMut(&[u32])) {
        let Some(by_name) = self.by_end.get(&end) else { return };
        let parameters = request.parameters();
        let mut offer = |rules: &ParameterRules, value: &str| {
            offer(&rules.any);
            offer(rules.by_value.get(value).map_or(&[], Vec::as_slice));
        };
        if parameters.len() < by_name.len() {
            for (name, value) in parameters {
                if let Some(rules) = by_name.get(&**name) {
                    offer(rules, value);
                }
            }
        } else {
            for (name, rules) in by_name {
                if let Some(value) = parameters.get(&**name) {
                    offer(rules, value);
                }
            }
        }
    }

    /// The rules at `end` that are found by a parameter with this value, or by one with any for `None`.
    pub(super) fn rules_for(&self, end: EndId, name: &str, value: Option<&str>) -> &[u32] {
        let rules = self.by_end.get(&end).and_then(|by_name| by_name.get(name));
        let rules = rules.and_then(|rules| match value {
            Some(value) => rules.by_value.get(value),
            None => Some(&rules.any),
        });
        rules.map_or(&[], Vec::as_slice)
    }
}

/// Each rule by that of its parameters which the fewest rules ask for: many may ask for the same one besides.
fn by_rarest_parameter(rules: &[Redirect], asking: &[u32]) -> HashMap<Box<str>, ParameterRules> {
    let mut counts: HashMap<(&str, Option<&str>), usize> = HashMap::new();
    for rule in asking {
        for parameter in rules[*rule as usize].parameters() {
            *counts.entry(parameter).or_default() += 1;
        }
    }
    let mut by_name: HashMap<Box<str>, ParameterRules> = HashMap::new();
    for rule in asking {
        // Any value is asked for last: a request has it with more of them.
        let parameters = rules[*rule as usize].parameters();
        let rarest = parameters.min_by_key(|parameter| (parameter.1.is_none(), counts[parameter]));
        let Some((name, value)) = rarest else { continue };
        let of_name = by_name.entry(name.into()).or_default();
        match value {
            Some(value) => of_name.by_value.entry(value.into()).or_default().push(*rule),
            None => of_name.any.push(*rule),
        }
    }
    by_name
}
