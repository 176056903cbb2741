//! Checks of all paths together.

use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use verge_protocol::SitePath;

use super::problem::Problem;

/// Checks that there are files, and an `index.html` where one is needed.
pub(super) fn check_index(paths: &[&SitePath], force: bool, single_page: bool) -> Option<Problem> {
    let has_index = paths.iter().any(|path| path.as_str() == "index.html");
    if paths.is_empty() {
        Some(Problem::Empty)
    } else if has_index {
        None
    } else if single_page {
        Some(Problem::NoSinglePage)
    } else if force {
        None
    } else {
        Some(Problem::NoIndex)
    }
}

/// Warns about names that some file systems or links treat as the same.
pub(super) fn name_warnings(paths: &[&SitePath]) -> Vec<String> {
    let mut by_folded: BTreeMap<String, Vec<&SitePath>> = BTreeMap::new();
    for path in paths {
        let folded: String = path.as_str().nfc().flat_map(char::to_lowercase).collect();
        by_folded.entry(folded).or_default().push(path);
    }
    let collisions = by_folded.into_values().filter(|paths| paths.len() > 1).map(|paths| {
        let names = paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("these names differ only in case or in the encoding of accents: {names}")
    });
    let decomposed = paths
        .iter()
        .filter(|path| !is_nfc(path.as_str()))
        .map(|path| format!("{path}: its name is not in Unicode normalization form C, which most links use"));
    collisions.chain(decomposed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<SitePath> {
        paths.iter().map(|path| path.parse().unwrap()).collect()
    }

    #[test]
    fn directory_without_files_or_index_is_a_problem() {
        let problem = |names: &[&str], force, single_page| {
            check_index(&paths(names).iter().collect::<Vec<_>>(), force, single_page).map(|problem| problem.to_string())
        };
        assert_eq!(problem(&["index.html"], false, true), None);
        assert_eq!(problem(&["a/index.html"], true, false), None);
        for force in [false, true] {
            assert_eq!(problem(&[], force, false).unwrap(), Problem::Empty.to_string());
            assert_eq!(problem(&["a.js"], force, true).unwrap(), Problem::NoSinglePage.to_string());
        }
        assert_eq!(problem(&["a.js"], false, false).unwrap(), Problem::NoIndex.to_string());
    }

    #[test]
    fn similar_names_have_warnings() {
        let warnings = |names: &[&str]| name_warnings(&paths(names).iter().collect::<Vec<_>>());
        assert!(warnings(&["a/b.png", "a/c.png", "ü.html"]).is_empty());
        let names = ["Logo.png", "cafe\u{301}.html", "caf\u{e9}.html", "logo.png"];
        insta::assert_snapshot!(warnings(&names).join("\n"));
    }
}
