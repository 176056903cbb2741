//! The profile: which origin and token to use when nothing else says so. `verge up` writes it.

use std::ffi::OsString;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::client::Token;
use crate::toml_file::{self, TomlError};

/// An origin and the token for it, kept in a file that only its owner can read. No person writes it, but a newer program may: what
/// is not known here is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// The origin's URL.
    pub origin: String,
    /// A token that it takes.
    pub token: Token,
    /// The URL of a name server's private listener, if one follows that origin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
}

/// Whose conventions say where configuration lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// `~/Library/Application Support`.
    MacOs,
    /// `%APPDATA%`.
    Windows,
    /// The XDG base directories: `$XDG_CONFIG_HOME`, else `~/.config`.
    Xdg,
}

impl Platform {
    /// The one that this program was built for.
    pub const HERE: Self = if cfg!(target_os = "macos") {
        Self::MacOs
    } else if cfg!(windows) {
        Self::Windows
    } else {
        Self::Xdg
    };
}

/// A folder that a variable names. A relative one is to be ignored (XDG Base Directory Specification, 0.8).
fn folder(variable: &impl Fn(&str) -> Option<OsString>, name: &str) -> Option<PathBuf> {
    variable(name).map(PathBuf::from).filter(|path| path.is_absolute())
}

/// Where `verge up` keeps its data: `verge` in the platform's folder for an application's own data. `None` without a home.
pub fn data_dir(variable: impl Fn(&str) -> Option<OsString>, platform: Platform) -> Option<PathBuf> {
    let folder = |name: &str| folder(&variable, name);
    let data = match platform {
        Platform::MacOs => folder("HOME").map(|home| home.join("Library").join("Application Support")),
        Platform::Windows => folder("LOCALAPPDATA"),
        Platform::Xdg => folder("XDG_DATA_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/share"))),
    };
    data.map(|folder| folder.join("verge"))
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file is there and cannot be read.
    #[error("failed to read the profile {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a profile.
    #[error("failed to read the profile")]
    Malformed(#[from] TomlError),
    /// The file cannot be written.
    #[error("failed to write the profile {}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Where the profile lies: `VERGE_PROFILE`, else `verge/profile.toml` in the configuration folder. `None` without a home.
pub fn path(variable: impl Fn(&str) -> Option<OsString>, platform: Platform) -> Option<PathBuf> {
    if let Some(path) = variable("VERGE_PROFILE") {
        return Some(path.into());
    }
    let folder = |name: &str| folder(&variable, name);
    let home = || folder("HOME");
    let configuration = match platform {
        Platform::MacOs => home().map(|home| home.join("Library").join("Application Support")),
        Platform::Windows => folder("APPDATA"),
        Platform::Xdg => folder("XDG_CONFIG_HOME").or_else(|| home().map(|home| home.join(".config"))),
    };
    configuration.map(|folder| folder.join("verge").join("profile.toml"))
}

/// Reads the profile at `path`; `None` when there is none.
pub fn load(path: &Path) -> Result<Option<Profile>, ProfileError> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(toml_file::parse(path, &text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ProfileError::Read { path: path.to_owned(), source }),
    }
}

/// Writes `profile` to `path`, whole or not at all, readable by its owner only. Makes the folders on the way.
pub fn save(profile: &Profile, path: &Path) -> Result<(), ProfileError> {
    let write = || {
        let folder = path.parent().unwrap_or(Path::new(""));
        std::fs::create_dir_all(folder)?;
        // A temporary file is made with mode 0600, and keeps it when it takes the other's place.
        let mut file =
            tempfile::NamedTempFile::new_in(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })?;
        let text = toml::to_string(profile).map_err(io::Error::other)?;
        file.write_all(b"# Written by `verge up`. Holds a secret.\n")?;
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

    fn found(variables: &[(&str, &str)], platform: Platform) -> Option<String> {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        path(variable, platform).map(|path| path.display().to_string())
    }

    #[test]
    fn the_profile_lies_where_the_platform_keeps_such_things() {
        let home = [("HOME", "/home/ann")];
        assert_eq!(found(&home, Platform::Xdg).unwrap(), "/home/ann/.config/verge/profile.toml");
        assert_eq!(found(&home, Platform::MacOs).unwrap(), "/home/ann/Library/Application Support/verge/profile.toml");
        assert_eq!(found(&[("APPDATA", "/roaming")], Platform::Windows).unwrap(), "/roaming/verge/profile.toml");
        let xdg = [("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "/etc/ann")];
        assert_eq!(found(&xdg, Platform::Xdg).unwrap(), "/etc/ann/verge/profile.toml");
        let relative = [("HOME", "/home/ann"), ("XDG_CONFIG_HOME", "ann")];
        assert_eq!(found(&relative, Platform::Xdg).unwrap(), "/home/ann/.config/verge/profile.toml");
        let chosen = [("HOME", "/home/ann"), ("VERGE_PROFILE", "here.toml")];
        assert_eq!(found(&chosen, Platform::Xdg).unwrap(), "here.toml");
        assert_eq!(found(&[], Platform::Xdg), None);
    }

    #[test]
    fn what_was_saved_is_loaded_and_only_the_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("profile.toml");
        assert_eq!(load(&path).unwrap(), None);
        for (origin, node) in [("http://127.0.0.1:1", None), ("http://127.0.0.1:2", Some("http://127.0.0.1:3"))] {
            let node = node.map(str::to_owned);
            let profile = Profile { origin: origin.to_owned(), token: Token::new("vrg_x"), node };
            save(&profile, &path).unwrap();
            assert_eq!(load(&path).unwrap(), Some(profile));
        }
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn a_profile_from_before_there_were_name_servers_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(&path, "origin = \"http://localhost\"\ntoken = \"x\"\n").unwrap();
        assert_eq!(load(&path).unwrap().unwrap().node, None);
    }

    #[test]
    fn a_profile_of_a_newer_program_is_one() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(&path, "origin = \"http://localhost\"\ntoken = \"x\"\nregion = \"eu\"\n").unwrap();
        assert_eq!(load(&path).unwrap().unwrap().origin, "http://localhost");
    }

    #[test]
    fn a_profile_that_makes_no_sense_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("profile.toml");
        std::fs::write(&path, "origin = \"http://localhost\"\ntokn = \"x\"\n").unwrap();
        let error = load(&path).unwrap_err();
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert!(cause.contains("profile.toml:1: missing field `token`"), "{cause}");
    }
}
