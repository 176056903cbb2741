//! Patterns of headers that begin with the same segments, and differ in the text beside a wildcard.

use std::collections::{BTreeSet, HashMap};

use super::header_pattern::HeaderPattern;
use super::pattern_tree::{EndId, PatternTree};

/// Patterns by the text before their first wildcard, or after their last one, for each place where the segments before wildcards end:
/// thousands of them, such as `/*.ext` or `/name*`, cost a request like one.
#[derive(Debug, Default)]
pub(super) struct AffixIndex {
    by_end: HashMap<EndId, Affixes>,
}

#[derive(Debug, Default)]
struct Affixes {
    prefixes: TextIndex,
    suffixes: TextIndex,
}

/// Patterns by a text.
#[derive(Debug, Default)]
struct TextIndex {
    by_text: HashMap<Box<str>, Vec<u32>>,
    /// The lengths of the texts, in bytes: each is looked up by itself.
    lengths: BTreeSet<usize>,
}

/// A text that a path must have for a pattern to match.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Affix<'p> {
    /// At the start of the segment with the first wildcard.
    Prefix(&'p str),
    /// At the end of the path.
    Suffix(&'p str),
}

/// Fewer patterns of one place are compared one by one.
const INDEXED_MIN: usize = 4;

/// The bytes of a text that count, at most. It bounds the number of lengths.
const TEXT_MAX: usize = 32;

impl AffixIndex {
    /// Takes patterns with text beside a wildcard out of `starts`, where a place has several of them.
    pub(super) fn new(patterns: &[HeaderPattern], starts: &mut PatternTree) -> Self {
        let mut index = Self::default();
        let has_affix = |pattern: &u32| affixes(&patterns[*pattern as usize]).next().is_some();
        for (end, ends) in starts.ends() {
            let with_affix: Vec<u32> = ends.iter().copied().filter(has_affix).collect();
            if with_affix.len() >= INDEXED_MIN {
                index.by_end.insert(end, by_rarest_affix(patterns, &with_affix));
            }
        }
        for end in index.by_end.keys() {
            starts.retain_ends(*end, |pattern| !has_affix(pattern));
        }
        index
    }

    /// The patterns at `end` that may match `path`, of which `segment` is the first one after those that led there: all that match are among
    /// them, each once.
    pub(super) fn may_match<'i>(
        &'i self,
        end: EndId,
        segment: Option<&'i str>,
        path: &'i str,
    ) -> impl Iterator<Item = u32> + 'i {
        let start_of = move |length: usize| segment?.get(..length);
        let end_of = |length: usize| path.get(path.len().checked_sub(length)?..);
        let of_end = self.by_end.get(&end).into_iter();
        of_end.flat_map(move |affixes| affixes.prefixes.find(start_of).chain(affixes.suffixes.find(end_of)))
    }
}

impl TextIndex {
    fn add(&mut self, text: &str, pattern: u32) {
        self.lengths.insert(text.len());
        self.by_text.entry(text.into()).or_default().push(pattern);
    }

    /// The patterns of all texts that `part` gives for their length.
    fn find<'i>(&'i self, part: impl Fn(usize) -> Option<&'i str> + 'i) -> impl Iterator<Item = u32> + 'i {
        self.lengths.iter().filter_map(move |length| self.by_text.get(part(*length)?)).flatten().copied()
    }
}

/// Each pattern by that of its texts which the fewest patterns have.
fn by_rarest_affix(patterns: &[HeaderPattern], with_affix: &[u32]) -> Affixes {
    let mut counts: HashMap<Affix<'_>, usize> = HashMap::new();
    for pattern in with_affix {
        for affix in affixes(&patterns[*pattern as usize]) {
            *counts.entry(affix).or_default() += 1;
        }
    }
    let mut index = Affixes::default();
    for pattern in with_affix {
        match affixes(&patterns[*pattern as usize]).min_by_key(|affix| counts[affix]) {
            Some(Affix::Prefix(text)) => index.prefixes.add(text, *pattern),
            Some(Affix::Suffix(text)) => index.suffixes.add(text, *pattern),
            None => {}
        }
    }
    index
}

/// The texts that a path must have, as far as they count.
fn affixes(pattern: &HeaderPattern) -> impl Iterator<Item = Affix<'_>> {
    let (prefix, suffix) = (pattern.start().1, pattern.suffix());
    let is_end = |length: &usize| *length <= TEXT_MAX && prefix.is_char_boundary(*length);
    let is_start = |at: &usize| suffix.len() - at <= TEXT_MAX && suffix.is_char_boundary(*at);
    let prefix =
        (0..=prefix.len()).rev().find(is_end).and_then(|end| prefix.get(..end)).filter(|text| !text.is_empty());
    let suffix = (0..=suffix.len()).find(is_start).and_then(|at| suffix.get(at..)).filter(|text| !text.is_empty());
    prefix.map(Affix::Prefix).into_iter().chain(suffix.map(Affix::Suffix))
}
