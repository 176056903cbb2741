//! Which city somebody may have meant.

use super::{City, plain};

/// How many are named.
const MOST: usize = 5;

/// Cities whose plain name begins like `typed`, or is hardly another; the likeliest first.
pub(super) fn to(typed: &str, cities: &[City]) -> Vec<&'static str> {
    let slips = typed.chars().count() / 3;
    let mut near: Vec<(usize, &'static str)> = cities
        .iter()
        .filter_map(|city| {
            let name = plain(city.name);
            let begins = typed.len() >= 2 && (name.starts_with(typed) || typed.starts_with(&name));
            let distance = if begins { 0 } else { distance(typed, &name) };
            (distance <= slips).then_some((distance, city.name))
        })
        .collect();
    near.sort_unstable();
    near.into_iter().take(MOST).map(|(_, name)| name).collect()
}

/// How many letters must be added, left out or replaced to make one word the other.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut costs: Vec<usize> = (0..=to.len()).collect();
    for (row, letter) in from.chars().enumerate() {
        let mut diagonal = row;
        costs[0] = row + 1;
        for (column, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = costs[column + 1];
            costs[column + 1] = replaced.min(diagonal + 1).min(costs[column] + 1);
        }
    }
    costs[to.len()]
}

#[cfg(test)]
mod tests {
    use super::super::table::ALL;
    use super::*;

    #[test]
    fn letters_are_counted() {
        for (from, to, expected) in
            [("", "", 0), ("a", "", 1), ("", "ab", 2), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!((distance(from, to), distance(to, from)), (expected, expected), "{from} {to}");
        }
    }

    #[test]
    fn what_may_have_been_meant_is_named() {
        assert_eq!(to("frankfrut", ALL), ["Frankfurt"]);
        assert_eq!(to("san", ALL), ["San Francisco", "San Jose", "Santiago"]);
        assert_eq!(to("frankfurtammain", ALL), ["Frankfurt"]);
        assert_eq!(to("nowhere", ALL), [""; 0]);
        assert_eq!(to("", ALL), [""; 0]);
    }
}
