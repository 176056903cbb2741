//! The site name that a `package.json` implies, and the packages that it names.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use verge_protocol::SiteName;

/// An invalid `package.json`.
#[derive(Debug, thiserror::Error)]
#[error("{}:{line}: {reason}", path.display())]
pub struct PackageError {
    path: PathBuf,
    line: usize,
    reason: String,
}

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    name: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Dependencies {
    dependencies: BTreeMap<String, serde_json::Value>,
    dev_dependencies: BTreeMap<String, serde_json::Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scripts {
    scripts: BTreeMap<String, serde_json::Value>,
}

/// The packages that `text` depends on; none if it is invalid.
pub(super) fn dependencies(text: &str) -> Vec<String> {
    let read: Dependencies = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    read.dependencies.into_keys().chain(read.dev_dependencies.into_keys()).collect()
}

/// Whether the package has a script with this name.
pub(super) fn has_script(text: &str, name: &str) -> bool {
    let read: Scripts = serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap_or_default();
    read.scripts.contains_key(name)
}

/// The site name implied by `text`, the content of `file`; `None` if the package has no name, or one that cannot be converted.
pub(super) fn site_name(file: &Path, text: &str) -> Result<Option<SiteName>, PackageError> {
    let text = text.trim_start_matches('\u{feff}');
    let package: Package = serde_json::from_str(text).map_err(|error| PackageError {
        path: file.to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })?;
    Ok(package.name.as_deref().and_then(slug))
}

/// Converts a package name to a site name: removes the scope, converts to lowercase, and replaces each sequence of characters that are
/// not allowed by a hyphen. `None` if nothing is left.
fn slug(name: &str) -> Option<SiteName> {
    let name = name.strip_prefix('@').and_then(|scoped| scoped.split_once('/')).map_or(name, |(_, name)| name);
    let mut slug = String::new();
    for character in name.chars().map(|character| character.to_ascii_lowercase()) {
        if slug.len() == SiteName::MAX {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    slug.trim_end_matches('-').parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(name: &str) -> Option<String> {
        slug(name).map(|site| site.to_string())
    }

    #[test]
    fn package_names_are_converted_to_site_names() {
        for (package, site) in [
            ("my-app", "my-app"),
            ("@acme/my-app", "my-app"),
            ("My_App.js", "my-app-js"),
            ("--a---b--", "a-b"),
            ("ünïcode", "n-code"),
            (&"a".repeat(50), &"a".repeat(40)),
        ] {
            assert_eq!(text(package).as_deref(), Some(site), "{package}");
        }
        for unusable in ["", "@", "---", "日本"] {
            assert_eq!(text(unusable), None, "{unusable}");
        }
    }

    #[test]
    fn package_without_name_has_no_site_name() {
        assert_eq!(site_name(Path::new("package.json"), "{\"private\":true}").unwrap(), None);
    }

    proptest! {
        #[test]
        fn slug_is_a_valid_site_name_and_idempotent(name in "\\PC{0,80}") {
            if let Some(site) = slug(&name) {
                prop_assert_eq!(slug(site.as_str()), Some(site));
            }
        }

        #[test]
        fn name_with_a_letter_has_a_slug(name in "[^/@]{0,10}[a-z][^/@]{0,60}") {
            prop_assert!(slug(&name).is_some());
        }
    }
}
