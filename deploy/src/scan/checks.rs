//! Checks of all paths together.

use std::collections::BTreeMap;

use verge_protocol::SitePath;

use super::problem::Problem;

/// Checks that there are files, and an `index.html`, or the page that answers paths without a file.
pub(super) fn check_index(paths: &[&SitePath], force: bool, single_page: Option<&str>) -> Option<Problem> {
    let has = |name: &str| paths.iter().any(|path| path.as_str() == name);
    if paths.is_empty() {
        Some(Problem::Empty)
    } else if has(single_page.unwrap_or("index.html")) {
        None
    } else if single_page.is_some() {
        Some(Problem::NoSinglePage)
    } else if force {
        None
    } else {
        Some(Problem::NoIndex)
    }
}

/// Warns about names that some file systems treat as the same.
pub(super) fn name_warnings(paths: &[&SitePath]) -> Vec<String> {
    let mut by_folded: BTreeMap<String, Vec<&SitePath>> = BTreeMap::new();
    for path in paths {
        let folded: String = path.as_str().to_lowercase();
        let same = by_folded.entry(folded).or_default();
        // Two files with one path are a problem of their own.
        if !same.contains(path) {
            same.push(path);
        }
    }
    let collisions = by_folded.into_values().filter(|paths| paths.len() > 1).map(|paths| {
        let names = paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        format!("these names differ only in case: {names}")
    });
    collisions.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> Vec<SitePath> {
        paths.iter().map(|path| path.parse().unwrap()).collect()
    }

    #[test]
    fn directory_without_files_or_index_is_a_problem() {
        let problem = |names: &[&str], force, single_page: bool| {
            let single_page = single_page.then_some("index.html");
            check_index(&paths(names).iter().collect::<Vec<_>>(), force, single_page).map(|problem| problem.to_string())
        };
        assert_eq!(problem(&["index.html"], false, true), None);
        assert_eq!(problem(&["a/index.html"], true, false), None);
        for force in [false, true] {
            assert_eq!(problem(&[], force, false).unwrap(), Problem::Empty.to_string());
            assert_eq!(problem(&["a.js"], force, true).unwrap(), Problem::NoSinglePage.to_string());
        }
        assert_eq!(problem(&["a.js"], false, false).unwrap(), Problem::NoIndex.to_string());
        let path = "200.html".parse().unwrap();
        assert!(check_index(&[&path], false, Some("200.html")).is_none());
    }

    #[test]
    fn similar_names_have_warnings() {
        let warnings = |names: &[&str]| name_warnings(&paths(names).iter().collect::<Vec<_>>());
        assert!(warnings(&["a/b.png", "a/c.png", "ü.html"]).is_empty());
        let names = ["Logo.png", "caf\u{e9}.html", "caf\u{c9}.html", "logo.png"];
        insta::assert_snapshot!(warnings(&names).join("\n"));
    }
}
