//! Lists of rules in JSON, of which no more is kept in memory than limits allow.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Deserialize, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Rules of each kind.
pub(super) const RULES_MAX: usize = 50_000;

/// Parts of all rules: segments of paths, parameters of queries, headers and users, and each rule itself.
pub(super) const PARTS_MAX: usize = 400_000;

/// Headers of a rule.
pub(super) const HEADERS_MAX: usize = 100;

/// A rule, as far as limits depend on it.
pub(super) trait Limited {
    /// Segments, parameters, headers and users, and one.
    fn parts(&self) -> usize;
    /// The length of its text.
    fn bytes(&self) -> usize;
}

/// Rules up to the limit. The others are read, and left out.
pub(super) struct BoundedRules<T> {
    pub(super) rules: Vec<T>,
    /// Whether some are left out.
    pub(super) is_cut: bool,
}

impl<T> Default for BoundedRules<T> {
    fn default() -> Self {
        Self { rules: Vec::new(), is_cut: false }
    }
}

impl<'de, T: Deserialize<'de> + Limited> Deserialize<'de> for BoundedRules<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut parts = 0;
        let keeps = |rule: &T, count: usize| {
            parts += rule.parts();
            parts <= PARTS_MAX && count < RULES_MAX
        };
        let (rules, is_cut) = deserializer.deserialize_seq(BoundedList { keeps, items: PhantomData })?;
        Ok(Self { rules, is_cut })
    }
}

/// The first `N` of a list.
pub(super) fn first<'de, D: Deserializer<'de>, T: Deserialize<'de>, const N: usize>(
    deserializer: D,
) -> Result<Vec<T>, D::Error> {
    let keeps = |_: &T, count: usize| count < N;
    deserializer.deserialize_seq(BoundedList { keeps, items: PhantomData }).map(|(items, _)| items)
}

/// A map of texts; an error beyond `N`.
pub(super) fn map<'de, D: Deserializer<'de>, M: Default + Extend<(String, String)>, const N: usize>(
    deserializer: D,
) -> Result<M, D::Error> {
    struct BoundedMap<M, const N: usize>(PhantomData<M>);
    impl<'de, M: Default + Extend<(String, String)>, const N: usize> Visitor<'de> for BoundedMap<M, N> {
        type Value = M;

        fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(formatter, "a map of at most {N} texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<M, A::Error> {
            let (mut map, mut count) = (M::default(), 0);
            while let Some(entry) = entries.next_entry()? {
                count += 1;
                if count > N {
                    return Err(A::Error::invalid_length(count, &self));
                }
                map.extend([entry]);
            }
            Ok(map)
        }
    }
    deserializer.deserialize_map(BoundedMap::<M, N>(PhantomData))
}

struct BoundedList<T, F> {
    /// Whether an item is kept, with so many before it.
    keeps: F,
    items: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>, F: FnMut(&T, usize) -> bool> Visitor<'de> for BoundedList<T, F> {
    /// The first items, and whether there are more.
    type Value = (Vec<T>, bool);

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            if !(self.keeps)(&item, items.len()) {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                return Ok((items, true));
            }
            items.push(item);
        }
        Ok((items, false))
    }
}
