//! `[build]` of a `netlify.toml`: the directory to push.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::toml_file::{self, TomlError};

/// What is read of the file; the rest is for others.
#[derive(Deserialize)]
struct NetlifyToml {
    #[serde(default)]
    build: Build,
}

#[derive(Default, Deserialize)]
struct Build {
    publish: Option<PathBuf>,
    base: Option<PathBuf>,
}

/// `publish` in `text`, the content of `file`: relative to `base`, or with a leading slash to the file.
pub(super) fn publish(file: &Path, text: &str) -> Result<Option<PathBuf>, TomlError> {
    let Build { publish, base } = toml_file::parse::<NetlifyToml>(file, text)?.build;
    let root = file.parent().unwrap_or(Path::new(""));
    let relative = |path: &Path| path.strip_prefix("/").unwrap_or(path).to_owned();
    Ok(publish.map(|publish| match base {
        Some(base) if !publish.has_root() => root.join(relative(&base)).join(publish),
        _ => root.join(relative(&publish)),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn publish_is_relative_to_base_or_file() {
        let publish = |text: &str| publish(Path::new("app/netlify.toml"), text).unwrap();
        for (text, dir) in [
            ("[build]\npublish = \"dist\"", "app/dist"),
            ("[build]\npublish = \"dist\"\nbase = \"web\"\ncommand = \"x\"", "app/web/dist"),
            ("[build]\npublish = \"/dist\"\nbase = \"/web\"", "app/dist"),
        ] {
            assert_eq!(publish(text).as_deref(), Some(Path::new(dir)), "{text}");
        }
        assert_eq!(publish("[build]\ncommand = \"x\"\n[[redirects]]\nfrom = \"/a\""), None);
        assert_eq!(publish(""), None);
    }

    #[test]
    fn invalid_file_is_named_with_its_line() {
        let error = publish(Path::new("netlify.toml"), "[build]\npublish = 1\n").unwrap_err().to_string();
        assert!(error.starts_with("netlify.toml:2: invalid type"), "{error}");
    }
}
