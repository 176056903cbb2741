//! Reading configuration files.

mod one_or_many;

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

pub use self::one_or_many::OneOrMany;

/// Why a configuration cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file is not there, or not for us.
    #[error("cannot read {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML of the expected shape.
    #[error("{path}: {error}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why; shows the line.
        error: Box<toml::de::Error>,
    },
}

/// Reads a TOML file. Raw configuration types deny unknown fields, so that a misspelt setting is an error with its line.
pub fn load<T: DeserializeOwned>(path: &Path) -> Result<T, ConfigError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text).map_err(|error| ConfigError::Malformed { path: path.to_owned(), error: Box::new(error) })
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
    fn a_misspelt_setting_is_named_with_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.toml");
        std::fs::write(&path, "listen = \"x\"\nlisten_adress = \"y\"\n").unwrap();
        let error = load::<Settings>(&path).unwrap_err().to_string();
        assert!(error.contains("edge.toml") && error.contains("line 2") && error.contains("listen_adress"), "{error}");
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = load::<Settings>(Path::new("/nowhere/edge.toml")).unwrap_err();
        assert_eq!(error.to_string(), "cannot read /nowhere/edge.toml");
    }
}
