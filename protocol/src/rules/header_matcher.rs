//! Finds all of many header rules that apply to a path.

use super::header_pattern::{FoldedPath, HeaderPattern};
use super::pattern_tree::PatternTree;

/// Patterns of header rules in their order, compiled to a tree of their literal segments: a path is compared only with patterns that begin
/// as it does.
#[derive(Debug, Default)]
pub struct HeaderMatcher {
    patterns: Vec<HeaderPattern>,
    /// Patterns by the segments that they begin with.
    starts: PatternTree,
}

impl HeaderMatcher {
    /// Compiles `patterns`, of which there are fewer than 2³².
    pub fn new(patterns: impl Iterator<Item = HeaderPattern>) -> Self {
        let patterns: Vec<HeaderPattern> = patterns.collect();
        let mut starts = PatternTree::default();
        for (index, pattern) in (0..u32::MAX).zip(&patterns) {
            starts.add_literals(pattern.literal_segments(), index);
        }
        Self { patterns, starts }
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The numbers of all patterns that match, in their order.
    pub fn find(&self, path: &FoldedPath) -> Vec<usize> {
        let indexes = self.starts.along(path.segments()).map(|index| index as usize);
        let mut found: Vec<usize> = indexes.filter(|index| self.patterns[*index].matches(path)).collect();
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
            patterns in proptest::collection::vec("/((a|B|:x|\\*|a\\*|\\*b)(/(a|b|:y|\\*)){0,3}/?)?", 0..10),
            path in "(/[abA]{0,2}){0,5}/?",
        ) {
            let patterns: Vec<HeaderPattern> = patterns.iter().map(|text| text.parse().unwrap()).collect();
            let path = FoldedPath::new(&path);
            let expected: Vec<usize> = (0..patterns.len()).filter(|index| patterns[*index].matches(&path)).collect();
            prop_assert_eq!(HeaderMatcher::new(patterns.into_iter()).find(&path), expected);
        }
    }
}
