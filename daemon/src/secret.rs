//! Text that must not be printed.

use std::fmt;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use serde::Deserialize;
use subtle::ConstantTimeEq;

/// A token or key: redacted in `Debug`, compared in constant time.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

/// Why a secret setting is invalid.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Set twice.
    #[error("`{0}` and `{0}_file` are both set: set only one of them")]
    Both(&'static str),
    /// Not set.
    #[error("`{0}` or `{0}_file` must be set")]
    Neither(&'static str),
    /// The file cannot be read.
    #[error("failed to read `{name}_file` {path}")]
    Unreadable {
        /// The setting's name without `_file`.
        name: &'static str,
        /// The file.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The value of the setting `name`, or the content of the file `<name>_file` without surrounding white space. A file that every
    /// user of the machine can read is logged as a warning.
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
                warn_if_readable_by_all(path);
                Ok(Self(text.trim().to_owned()))
            }
        }
    }

    /// The text, for the place that sends or hashes it.
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

/// Logs that every user of the machine can read the secret in a file, if that is so.
pub fn warn_if_readable_by_all(path: &Path) {
    if is_readable_by_all(path) {
        let path = path.display();
        tracing::warn!(%path, "every user of this machine can read the secret in this file: use `chmod 600`");
    }
}

/// Whether the mode of a file lets every user read it. A directory above it may still prevent that.
fn is_readable_by_all(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o004 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_with_mode_644_is_readable_by_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        std::fs::write(&path, "from-file").unwrap();
        for (mode, expected) in [(0o644, true), (0o640, false), (0o600, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(is_readable_by_all(&path), expected, "{mode:o}");
        }
    }

    #[test]
    fn secret_is_taken_from_value_or_file() {
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
    fn debug_is_redacted() {
        assert_eq!(format!("{:?}", Secret::new("hush")), "Secret(…)");
    }
}
