//! TOML files, with errors that name file and line.

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// An invalid TOML file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}:{line}: {message}", file.display())]
pub struct TomlError {
    file: PathBuf,
    line: usize,
    message: String,
}

impl TomlError {
    /// An error at a line, from 1.
    pub fn new(file: &Path, line: usize, message: String) -> Self {
        Self { file: file.to_owned(), line, message }
    }
}

/// Parses `text`, the content of `file`.
pub fn parse<T: DeserializeOwned>(file: &Path, text: &str) -> Result<T, TomlError> {
    toml::from_str(text).map_err(|error| {
        let before = error.span().map_or(0, |span| span.start.min(text.len()));
        let line = 1 + text[..before].matches('\n').count();
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        TomlError { file: file.to_owned(), line, message }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[expect(dead_code, reason = "only parsing is tested")]
        site: verge_protocol::SiteName,
    }

    #[test]
    fn error_names_file_and_line() {
        let error = |text: &str| parse::<Settings>(Path::new("verge.toml"), text).unwrap_err().to_string();
        assert_eq!(
            error("# settings\nsite = \"My Site\"\n"),
            "verge.toml:2: invalid site name `My Site`: expected a-z, 0-9 and single hyphens between them"
        );
        assert_eq!(error("site = \"a\"\n\nsiet = \"b\"\n"), "verge.toml:3: unknown field `siet`, expected `site`");
        assert!(error("site = \"a\"\n=\n").starts_with("verge.toml:2: "));
    }
}
