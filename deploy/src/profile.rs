//! The profile: the origin and token to use by default. `verge login` and `verge up` write it.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use verge_protocol::KeyPin;

use crate::client::Token;
use crate::toml_file::{self, TomlError};

/// An origin and a token for it, in a file that only its owner can read. Unknown fields, such as those of a newer version, are
/// ignored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The origin's URL.
    pub origin: String,
    /// A token for it.
    pub token: Token,
    /// The pin of the origin's key; `None`: it is verified by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<KeyPin>,
    /// The URL of the private listener of a name server that follows this origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_server: Option<String>,
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file exists and cannot be read.
    #[error("failed to read the profile `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a valid profile.
    #[error("invalid profile")]
    Malformed(#[from] TomlError),
    /// The file cannot be deleted.
    #[error("failed to delete the profile `{}`", path.display())]
    Delete {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file cannot be written.
    #[error("failed to write the profile `{}`", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Reads the profile at `path`; `None` if there is none.
pub fn load(path: &Path) -> Result<Option<Profile>, ProfileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(toml_file::parse(path, &text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProfileError::Read { path: path.to_owned(), source }),
    }
}

/// Deletes the profile at `path`; false if there is none.
pub fn delete(path: &Path) -> Result<bool, ProfileError> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(ProfileError::Delete { path: path.to_owned(), source }),
    }
}

/// Writes `profile` to `path` atomically, readable by its owner only. Creates the directory if needed.
pub fn save(profile: &Profile, path: &Path) -> Result<(), ProfileError> {
    let write = || {
        let dir = path.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(dir)?;
        // A temporary file has mode 0600 and keeps it when it is renamed.
        let mut file = tempfile::NamedTempFile::new_in(if dir.as_os_str().is_empty() { Path::new(".") } else { dir })?;
        let text = toml::to_string(profile).map_err(io::Error::other)?;
        file.write_all(b"# Written by `verge login` or `verge up`. Contains a secret.\n")?;
        file.write_all(text.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    write().map_err(|source| ProfileError::Write { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn saved_profile_is_loaded_and_readable_by_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new").join("profile.toml");
        assert_eq!(load(&path).unwrap(), None);
        for (origin, name_server) in [("http://127.0.0.1:1", None), ("http://127.0.0.1:2", Some("http://127.0.0.1:3"))]
        {
            let pin = name_server.map(|name| KeyPin::new(verge_protocol::Digest::of(name.as_bytes())));
            let name_server = name_server.map(str::to_owned);
            let profile = Profile { origin: origin.to_owned(), token: Token::new("vrg_x"), pin, name_server };
            save(&profile, &path).unwrap();
            assert_eq!(load(&path).unwrap(), Some(profile));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file remains");
    }

    #[test]
    fn profile_without_name_server_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.toml");
        std::fs::write(&path, "origin = \"http://localhost\"\ntoken = \"x\"\n").unwrap();
        assert_eq!(load(&path).unwrap().unwrap().name_server, None);
    }

    #[test]
    fn profile_with_unknown_fields_is_loaded() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.toml");
        std::fs::write(&path, "origin = \"http://localhost\"\ntoken = \"x\"\nregion = \"eu\"\n").unwrap();
        assert_eq!(load(&path).unwrap().unwrap().origin, "http://localhost");
    }

    #[test]
    fn invalid_profile_is_rejected_with_file_and_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("profile.toml");
        std::fs::write(&path, "origin = \"http://localhost\"\ntokn = \"x\"\n").unwrap();
        let error = load(&path).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("profile.toml:1: missing field `token`"), "{cause}");
    }
}
