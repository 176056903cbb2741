//! Configuration files.

mod one_or_many;
mod placeholders;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use self::one_or_many::OneOrMany;
pub use self::placeholders::{Placeholder, placeholders};

/// Why a configuration file cannot be loaded.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("failed to read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// It is not valid TOML, or has unknown or missing settings.
    #[error("{path}: {error}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The cause; shows the line.
        error: Box<toml::de::Error>,
    },
}

/// Reads a TOML file, and finds its placeholders. Raw configuration types deny unknown fields, so that a misspelt setting is an error
/// with its line.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<(T, Vec<Placeholder>), ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    let malformed = |error| ConfigError::Malformed { path: path.to_owned(), error: Box::new(error) };
    Ok((toml::from_str(&text).map_err(malformed)?, placeholders(&text)))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[expect(dead_code, reason = "only parsed")]
        listen: String,
    }

    #[test]
    fn misspelt_setting_is_reported_with_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.toml");
        std::fs::write(&path, "listen = \"x\"\nlisten_adress = \"y\"\n").unwrap();
        let error = load::<Settings>(&path).unwrap_err().to_string();
        assert!(error.contains("edge.toml") && error.contains("line 2") && error.contains("listen_adress"), "{error}");
    }

    #[test]
    fn missing_file_is_named() {
        let error = load::<Settings>(Path::new("/nowhere/edge.toml")).unwrap_err();
        assert_eq!(error.to_string(), "failed to read /nowhere/edge.toml");
    }
}
