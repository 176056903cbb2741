//! Finds all of many header rules that apply to a path.

use super::affix_index::AffixIndex;
use super::header_pattern::{FoldedPath, HeaderPattern};
use super::pattern_tree::PatternTree;

/// Patterns of header rules in their order, compiled to a tree of the segments before their first wildcard: a path is compared only with
/// patterns that begin as it does, and that have the same text beside their wildcards.
#[derive(Debug, Default)]
pub struct HeaderMatcher {
    patterns: Vec<HeaderPattern>,
    /// Patterns by the segments that they begin with.
    starts: PatternTree,
    affixes: AffixIndex,
}

impl HeaderMatcher {
    /// Compiles `patterns`, of which there are fewer than 2³².
    pub fn new(patterns: impl Iterator<Item = HeaderPattern>) -> Self {
        let patterns: Vec<HeaderPattern> = patterns.collect();
        let mut starts = PatternTree::default();
        for (index, pattern) in (0..u32::MAX).zip(&patterns) {
            starts.add_start(&pattern.start().0, index);
        }
        let affixes = AffixIndex::new(&patterns, &mut starts);
        Self { patterns, starts, affixes }
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The numbers of all patterns that match, in their order.
    pub fn find(&self, path: &FoldedPath) -> Vec<usize> {
        let segments: Vec<&str> = path.segments().collect();
        let mut found = Vec::new();
        self.starts.visit_starts(&segments, &mut |end, count, patterns| {
            let others = self.affixes.may_match(end, segments.get(count).copied(), path.as_str());
            let indexes = patterns.iter().copied().chain(others).map(|index| index as usize);
            found.extend(indexes.filter(|index| self.patterns[*index].matches(path)));
        });
        found.sort_unstable();
        found
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// The tree finds what going through all patterns finds.
        #[test]
        fn tree_finds_all_patterns_of_the_list(
            patterns in proptest::collection::vec("/((a|B|:x|\\*|a{1,2}\\*|\\*b|\\*[aü]b?|a\\*b)(/(a|b|:y|\\*|\\*b)){0,3}/?)?", 0..24),
            deep in proptest::collection::vec("(/(a|:x)){4,6}(/b\\*|/\\*|\\*)?", 0..6),
            path in "(/[abAü]{0,2}){0,7}/?",
        ) {
            let patterns: Vec<HeaderPattern> = patterns.iter().chain(&deep).map(|text| text.parse().unwrap()).collect();
            let path = FoldedPath::new(&path);
            let expected: Vec<usize> = (0..patterns.len()).filter(|index| patterns[*index].matches(&path)).collect();
            prop_assert_eq!(HeaderMatcher::new(patterns.into_iter()).find(&path), expected);
        }
    }
}
