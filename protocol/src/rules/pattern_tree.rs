//! Many patterns of paths as trees of their segments.

use std::collections::{BTreeSet, HashMap};

use super::path_pattern::Segment;
use super::split_path::SplitPath;

/// Patterns with at most one wildcard, numbered in their order, in one tree or several.
///
/// Nodes are small, and numbers in one list. What follows a wildcard is kept from its end, since it ends with the path: so no place in a
/// path is tried for it, and a request visits each node once at most.
#[derive(Debug)]
pub(super) struct PatternTree {
    nodes: Vec<Node>,
}

/// A place where patterns end.
pub(super) type EndId = u32;

/// A tree among several.
pub(super) type RootId = u32;

#[derive(Debug)]
struct Node {
    /// The first pattern here or below.
    first: u32,
    /// Patterns that end here, in their order.
    ends: Vec<u32>,
    literals: Literals,
    placeholder: Option<u32>,
    /// The patterns that a wildcard ends here, and, below it, what follows wildcards, the last segment first.
    wildcard: Option<u32>,
    prefixes: Option<Box<Prefixes>>,
}

/// The nodes after literal segments. Most nodes have one at most.
#[derive(Debug, Default)]
enum Literals {
    #[default]
    None,
    One(Box<str>, u32),
    #[expect(clippy::box_collection, reason = "a node is as large as its largest variant")]
    Many(Box<HashMap<Box<str>, u32>>),
}

/// The nodes after text with a wildcard.
#[derive(Debug, Default)]
struct Prefixes {
    by_text: HashMap<Box<str>, u32>,
    /// The lengths of the texts, in bytes.
    lengths: BTreeSet<usize>,
}

/// What a walk through the tree is for.
pub(super) trait Visitor {
    /// Whether patterns from this number on are of interest.
    fn wants(&self, first: u32) -> bool;
    /// The patterns that end at `end` match the path: these, in their order, and those that were [taken](PatternTree::retain_ends) from there.
    fn visit(&mut self, end: EndId, patterns: &[u32]);
}

impl Default for PatternTree {
    fn default() -> Self {
        Self { nodes: vec![Node::new(u32::MAX)] }
    }
}

impl PatternTree {
    /// The tree that there is at first.
    pub(super) const ROOT: RootId = 0;

    /// Adds another tree, which is empty.
    pub(super) fn add_root(&mut self) -> RootId {
        let root = self.next_id();
        self.nodes.push(Node::new(u32::MAX));
        root
    }

    /// Adds a pattern with at most one wildcard to a tree. Its number is greater than those before.
    pub(super) fn add(&mut self, root: RootId, segments: &[Segment], pattern: u32) {
        let at = segments.iter().position(|segment| matches!(segment, Segment::Wildcard | Segment::Prefix(_)));
        let (head, tail) = segments.split_at(at.map_or(segments.len(), |at| at + 1));
        let mut node = root;
        let first = &mut self.nodes[root as usize].first;
        *first = pattern.min(*first);
        for segment in head.iter().chain(tail.iter().rev()) {
            node = self.child(node, segment, pattern);
        }
        self.nodes[node as usize].ends.push(pattern);
    }

    /// Adds a pattern that begins with these segments, of which `None` stands for any that is not empty.
    pub(super) fn add_start(&mut self, segments: &[Option<&str>], pattern: u32) {
        let mut node = Self::ROOT;
        for segment in segments {
            let next = self.next_id();
            let parent = &mut self.nodes[node as usize];
            node = match segment {
                Some(literal) => parent.literals.get_or_insert(literal, next),
                None => *parent.placeholder.get_or_insert(next),
            };
            if node == next {
                self.nodes.push(Node::new(pattern));
            }
        }
        self.nodes[node as usize].ends.push(pattern);
    }

    /// Visits each place to which the first of `segments` lead, or more of them, with the number of those segments and the patterns there.
    pub(super) fn visit_starts<'s>(&'s self, segments: &[&str], visit: &mut impl FnMut(EndId, usize, &'s [u32])) {
        self.visit_starts_from(Self::ROOT, segments, 0, visit);
    }

    fn visit_starts_from<'s>(
        &'s self,
        id: u32,
        segments: &[&str],
        at: usize,
        visit: &mut impl FnMut(EndId, usize, &'s [u32]),
    ) {
        let node = &self.nodes[id as usize];
        visit(id, at, &node.ends);
        for next in segments.get(at).into_iter().flat_map(|segment| node.after(segment)) {
            self.visit_starts_from(next, segments, at + 1, visit);
        }
    }

    fn next_id(&self) -> u32 {
        u32::try_from(self.nodes.len()).expect("rules have fewer segments")
    }

    fn child(&mut self, parent: u32, segment: &Segment, pattern: u32) -> u32 {
        let next = self.next_id();
        let node = &mut self.nodes[parent as usize];
        let child = match segment {
            Segment::Literal(text) => node.literals.get_or_insert(text, next),
            Segment::Placeholder(_) => *node.placeholder.get_or_insert(next),
            Segment::Wildcard => *node.wildcard.get_or_insert(next),
            Segment::Prefix(text) => {
                let prefixes = node.prefixes.get_or_insert_default();
                prefixes.lengths.insert(text.len());
                *prefixes.by_text.entry(text.clone()).or_insert(next)
            }
        };
        if child == next {
            self.nodes.push(Node::new(pattern));
        }
        child
    }

    /// Each place where patterns end, and their numbers in their order.
    pub(super) fn ends(&self) -> impl Iterator<Item = (EndId, &[u32])> {
        (0..).zip(&self.nodes).map(|(id, node)| (id, &*node.ends)).filter(|(_, ends)| !ends.is_empty())
    }

    /// Takes the patterns at `end` out that are not to be kept there. They are still visited as a place.
    pub(super) fn retain_ends(&mut self, end: EndId, is_kept: impl FnMut(&u32) -> bool) {
        let ends = &mut self.nodes[end as usize].ends;
        ends.retain(is_kept);
        ends.shrink_to_fit();
    }

    /// Visits each place of a tree where patterns end that match `path`.
    pub(super) fn visit(&self, root: RootId, path: &SplitPath<'_>, visitor: &mut impl Visitor) {
        self.visit_from(root, path, 0, visitor);
    }

    /// Visits the patterns at a node or below that match `path` from the segment `at`.
    fn visit_from(&self, id: u32, path: &SplitPath<'_>, at: usize, visitor: &mut impl Visitor) {
        let node = &self.nodes[id as usize];
        if !visitor.wants(node.first) {
            return;
        }
        if at == path.len() {
            visitor.visit(id, &node.ends);
        }
        if let Some(segment) = path.decoded(at) {
            for next in node.after(segment) {
                self.visit_from(next, path, at + 1, visitor);
            }
            for next in node.prefixes.iter().flat_map(|prefixes| prefixes.of(segment)) {
                self.visit_wildcard(next, path, at + 1, visitor);
            }
        }
        if let Some(next) = node.wildcard {
            self.visit_wildcard(next, path, at, visitor);
        }
    }

    /// As [`Self::visit_from`], after a wildcard that takes the segments up to `at` or more.
    fn visit_wildcard(&self, id: u32, path: &SplitPath<'_>, at: usize, visitor: &mut impl Visitor) {
        let node = &self.nodes[id as usize];
        if visitor.wants(node.first) {
            visitor.visit(id, &node.ends);
            self.visit_before(id, path, at, path.len(), visitor);
        }
    }

    /// Visits the patterns below a node that match the segments before `end`, and none before `start`.
    fn visit_before(&self, id: u32, path: &SplitPath<'_>, start: usize, end: usize, visitor: &mut impl Visitor) {
        let Some(at) = end.checked_sub(1).filter(|at| *at >= start) else { return };
        let Some(segment) = path.decoded(at) else { return };
        for next in self.nodes[id as usize].after(segment) {
            let node = &self.nodes[next as usize];
            if visitor.wants(node.first) {
                visitor.visit(next, &node.ends);
                self.visit_before(next, path, start, at, visitor);
            }
        }
    }
}

impl Node {
    fn new(first: u32) -> Self {
        let (ends, literals) = (Vec::new(), Literals::None);
        Self { first, ends, literals, placeholder: None, wildcard: None, prefixes: None }
    }

    /// The nodes after a segment, as a literal and as a placeholder.
    fn after(&self, segment: &str) -> impl Iterator<Item = u32> {
        let placeholder = self.placeholder.filter(|_| !segment.is_empty());
        self.literals.get(segment).into_iter().chain(placeholder)
    }
}

impl Literals {
    fn get(&self, segment: &str) -> Option<u32> {
        match self {
            Self::None => None,
            Self::One(text, node) => (**text == *segment).then_some(*node),
            Self::Many(nodes) => nodes.get(segment).copied(),
        }
    }

    fn get_or_insert(&mut self, segment: &str, next: u32) -> u32 {
        if let Some(node) = self.get(segment) {
            return node;
        }
        *self = match std::mem::take(self) {
            Self::None => Self::One(segment.into(), next),
            Self::One(text, node) => Self::Many(Box::new([(text, node), (segment.into(), next)].into())),
            Self::Many(mut nodes) => {
                nodes.insert(segment.into(), next);
                Self::Many(nodes)
            }
        };
        next
    }
}

impl Prefixes {
    /// The nodes of all texts that `segment` begins with.
    fn of(&self, segment: &str) -> impl Iterator<Item = u32> {
        self.lengths.iter().filter_map(|length| self.by_text.get(segment.get(..*length)?).copied())
    }
}
