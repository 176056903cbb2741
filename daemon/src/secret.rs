//! Text that must not be shown.

use std::fmt;
use std::path::Path;

use serde::Deserialize;
use subtle::ConstantTimeEq;

/// A token or key. Never printed, compared in constant time.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Why a secret cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Given twice.
    #[error("`{0}` and `{0}_file` are both set: give the value or the file, never both")]
    Both(&'static str),
    /// Not given.
    #[error("neither `{0}` nor `{0}_file` is set")]
    Neither(&'static str),
    /// The file cannot be read.
    #[error("cannot read {path} for `{name}_file`")]
    Unreadable {
        /// What it was to hold.
        name: &'static str,
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
}

impl Secret {
    /// Takes text as a secret.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Takes the value, or the content of the file (white space around it cut off), of the setting `name`.
    pub fn from_value_or_file(
        name: &'static str,
        value: Option<Self>,
        file: Option<&Path>,
    ) -> Result<Self, SecretError> {
        match (value, file) {
            (Some(_), Some(_)) => Err(SecretError::Both(name)),
            (None, None) => Err(SecretError::Neither(name)),
            (Some(value), None) => Ok(value),
            (None, Some(path)) => {
                let text = std::fs::read_to_string(path).map_err(|source| SecretError::Unreadable {
                    name,
                    path: path.display().to_string(),
                    source,
                })?;
                Ok(Self(text.trim().to_owned()))
            }
        }
    }

    /// The text, for the one place that sends or hashes it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_a_value_or_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-file\n").unwrap();
        let take = |value: Option<&str>, file| Secret::from_value_or_file("token", value.map(Secret::new), file);
        assert_eq!(take(Some("by-value"), None).unwrap().expose(), "by-value");
        assert_eq!(take(None, Some(path.as_path())).unwrap().expose(), "from-file");
        assert!(matches!(take(Some("x"), Some(path.as_path())), Err(SecretError::Both("token"))));
        assert!(matches!(take(None, None), Err(SecretError::Neither("token"))));
        assert!(matches!(take(None, Some(Path::new("/nowhere"))), Err(SecretError::Unreadable { .. })));
    }

    #[test]
    fn a_secret_is_not_printed() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(…)");
    }
}
