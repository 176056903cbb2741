//! Finds all of many header rules that apply to a path.

use std::collections::HashMap;

use super::header_pattern::{FoldedPath, HeaderPattern};

/// Patterns of header rules in their order, compiled to a tree of their literal segments: a path is compared only with patterns that begin
/// as it does.
#[derive(Debug, Default)]
pub struct HeaderMatcher {
    patterns: Vec<HeaderPattern>,
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    /// The patterns whose literal segments end here, as numbers in their order.
    patterns: Vec<usize>,
    next: HashMap<Box<str>, Node>,
}

impl HeaderMatcher {
    /// Compiles `patterns`.
    pub fn new(patterns: impl Iterator<Item = HeaderPattern>) -> Self {
        let patterns: Vec<HeaderPattern> = patterns.collect();
        let mut root = Node::default();
        for (index, pattern) in patterns.iter().enumerate() {
            let mut node = &mut root;
            for segment in pattern.literal_segments() {
                node = node.next.entry(segment.into()).or_default();
            }
            node.patterns.push(index);
        }
        Self { patterns, root }
    }

    /// Whether there is no pattern.
    pub fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// The numbers of all patterns that match, in their order.
    pub fn find(&self, path: &FoldedPath) -> Vec<usize> {
        let mut found = Vec::new();
        let mut node = Some(&self.root);
        let mut segments = path.segments();
        while let Some(current) = node {
            found.extend(current.patterns.iter().filter(|index| self.patterns[**index].matches(path)));
            node = segments.next().and_then(|segment| current.next.get(segment));
        }
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
