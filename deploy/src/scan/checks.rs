//! What is wrong with a list of paths as a whole.

use std::collections::BTreeMap;

use unicode_normalization::{UnicodeNormalization as _, is_nfc};
use verge_protocol::SitePath;

use super::problem::Problem;

/// Files without which a push makes no sense.
pub(super) fn lacking(paths: &[&SitePath], force: bool, single_page: bool) -> Option<Problem> {
    let has_index = paths.iter().any(|path| path.as_str() == "index.html");
    if paths.is_empty() {
        Some(Problem::Empty)
    } else if has_index {
        None
    } else if single_page {
        Some(Problem::NoPage)
    } else if force {
        None
    } else {
        Some(Problem::NoIndex)
    }
}

/// Warnings about names that one system takes for the same and another does not.
pub(super) fn confusable(paths: &[&SitePath]) -> Vec<String> {
    let mut alike: BTreeMap<String, Vec<&SitePath>> = BTreeMap::new();
    for path in paths {
        let folded: String = path.as_str().nfc().flat_map(char::to_lowercase).collect();
        alike.entry(folded).or_default().push(path);
    }
    let collisions = alike.into_values().filter(|paths| paths.len() > 1).map(|paths| {
        let names = paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("these differ only in case or in how accents are encoded: {names}")
    });
    let decomposed = paths.iter().filter(|path| !is_nfc(path.as_str())).map(|path| {
        format!("{path}: its name is not in Unicode's composed form (NFC), in which most links are written")
    });
    collisions.chain(decomposed).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<SitePath> {
        paths.iter().map(|path| path.parse().unwrap()).collect()
    }

    #[test]
    fn a_folder_needs_files_and_an_index() {
        let lacking = |names: &[&str], force, single_page| {
            lacking(&paths(names).iter().collect::<Vec<_>>(), force, single_page).map(|problem| problem.to_string())
        };
        assert_eq!(lacking(&["index.html"], false, true), None);
        assert_eq!(lacking(&["a/index.html"], true, false), None);
        for force in [false, true] {
            assert_eq!(lacking(&[], force, false).unwrap(), Problem::Empty.to_string());
            assert_eq!(lacking(&["a.js"], force, true).unwrap(), Problem::NoPage.to_string());
        }
        assert_eq!(lacking(&["a.js"], false, false).unwrap(), Problem::NoIndex.to_string());
    }

    #[test]
    fn names_that_look_alike_are_warned_about() {
        let warnings = |names: &[&str]| confusable(&paths(names).iter().collect::<Vec<_>>());
        assert!(warnings(&["a/b.png", "a/c.png", "ü.html"]).is_empty());
        let names = ["Logo.png", "cafe\u{301}.html", "caf\u{e9}.html", "logo.png"];
        insta::assert_snapshot!(warnings(&names).join("\n"));
    }
}
