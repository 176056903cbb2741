//! Suggestions for a misspelt city.

/// The most cities that are suggested.
const MAX: usize = 5;

/// Names whose normalized form starts like `typed`, or differs from it in at most a third of its letters; the most similar first.
/// `names` are pairs of a name and its normalized form.
pub(super) fn similar(typed: &str, names: impl Iterator<Item = (&'static str, String)>) -> Vec<&'static str> {
    let max_distance = typed.chars().count() / 3;
    let mut similar: Vec<(usize, &'static str)> = names
        .filter_map(|(name, normalized)| {
            let is_prefix = typed.len() >= 2 && (normalized.starts_with(typed) || typed.starts_with(&normalized));
            let distance = if is_prefix { 0 } else { strsim::levenshtein(typed, &normalized) };
            (distance <= max_distance).then_some((distance, name))
        })
        .collect();
    similar.sort_unstable();
    similar.into_iter().take(MAX).map(|(_, name)| name).collect()
}
