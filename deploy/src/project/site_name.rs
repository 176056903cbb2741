//! The name of a site, from the name of a package.

use std::path::Path;

use serde::Deserialize;
use verge_protocol::SiteName;

use super::ProjectError;

#[derive(Deserialize)]
struct Package {
    #[serde(default)]
    name: Option<String>,
}

/// The site's name that the `package.json` in `file` implies; `None` when it has no name, or none of use.
pub(super) fn in_package(file: &Path, text: &str) -> Result<Option<SiteName>, ProjectError> {
    let text = text.trim_start_matches('\u{feff}');
    let package: Package = serde_json::from_str(text).map_err(|error| ProjectError::Package {
        path: file.to_owned(),
        line: error.line(),
        reason: error.to_string(),
    })?;
    Ok(package.name.as_deref().and_then(slug))
}

/// Makes a site's name of a package's: its scope goes, letters become small, and whatever a host name cannot hold becomes a
/// single hyphen. `None` when nothing is left.
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
    fn packages_become_sites() {
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
        for nothing in ["", "@", "---", "日本"] {
            assert_eq!(text(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn a_package_without_a_name_names_no_site() {
        assert_eq!(in_package(Path::new("package.json"), "{\"private\":true}").unwrap(), None);
    }

    proptest! {
        #[test]
        fn a_slug_is_a_site_and_its_own_slug(name in "\\PC{0,80}") {
            if let Some(site) = slug(&name) {
                prop_assert_eq!(slug(site.as_str()), Some(site));
            }
        }

        #[test]
        fn whatever_has_a_letter_has_a_slug(name in "[^/@]{0,10}[a-z][^/@]{0,60}") {
            prop_assert!(slug(&name).is_some());
        }
    }
}
