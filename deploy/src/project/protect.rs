//! `[protect]` in `verge.toml`: users and passwords for a whole site, or for its previews.

use std::io;
use std::path::{Component, Path, PathBuf};

use serde::Deserialize;
use verge_protocol::rules::password_rule::USER_AND_PASSWORD_MAX;

/// `[protect]` in `verge.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProtectSettings {
    /// What is protected: `"all"` or `"previews"`.
    #[serde(default)]
    pub only: ProtectOnly,
    /// A file with a `user:password` in each line, relative to `verge.toml`; `None`: the variable `VERGE_USERS` has them.
    pub users_file: Option<PathBuf>,
}

/// What is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProtectOnly {
    /// The site and its previews.
    #[default]
    All,
    /// Previews, and releases under hosts of their own.
    Previews,
}

/// Users, each as `user:password`, for a site or its previews.
#[derive(Clone, PartialEq, Eq)]
pub struct Protection {
    /// Whether the live channel is not protected.
    pub only_previews: bool,
    /// At least one.
    pub users: Vec<String>,
}

impl std::fmt::Debug for Protection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Protection").field("only_previews", &self.only_previews).finish_non_exhaustive()
    }
}

/// Why a site cannot be protected as `verge.toml` says. It is not pushed then.
#[derive(Debug, thiserror::Error)]
pub enum ProtectError {
    /// There are no users.
    #[error("`[protect]` in verge.toml has no users")]
    NoUsers,
    /// A text is no user with a password. It is not named, since it may be a password.
    #[error("invalid user in {0}: expected `user:password` of at most {USER_AND_PASSWORD_MAX} bytes")]
    User(String),
    /// The file cannot be read.
    #[error("failed to read `{}`, which `users_file` in verge.toml names", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file would be served, or is not of the project.
    #[error("`users_file` in verge.toml must be in the project and outside of the directory that is pushed: `{}`", .0.display())]
    Place(PathBuf),
}

impl ProtectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoUsers => Some("set the variable VERGE_USERS to `user:password`, or `users_file`".to_owned()),
            Self::User(_) | Self::Unreadable { .. } | Self::Place(_) => None,
        }
    }
}

impl ProtectSettings {
    /// The users that these settings name. `root` is the directory of `verge.toml`, `variable` the value of `VERGE_USERS`, and `build_dir` the
    /// directory that is pushed.
    pub(super) fn load(
        &self,
        root: &Path,
        variable: Option<&str>,
        build_dir: &Path,
    ) -> Result<Protection, ProtectError> {
        let (text, source) = match &self.users_file {
            Some(file) => {
                let path = root.join(file);
                let is_inside = file.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
                let canonical = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
                if !is_inside || canonical(&path).starts_with(canonical(build_dir)) {
                    return Err(ProtectError::Place(file.clone()));
                }
                let text = std::fs::read_to_string(&path)
                    .map_err(|source| ProtectError::Unreadable { path: file.clone(), source })?;
                (text, file.display().to_string())
            }
            None => (variable.unwrap_or_default().replace(char::is_whitespace, "\n"), "VERGE_USERS".to_owned()),
        };
        let lines = text
            .trim_start_matches('\u{feff}')
            .lines()
            .map(str::trim)
            .filter(|line| !line.is_empty() && !line.starts_with('#'));
        let users: Vec<String> = lines.map(str::to_owned).collect();
        let is_user = |user: &String| {
            let is_pair = user.split_once(':').is_some_and(|(name, password)| !name.is_empty() && !password.is_empty());
            is_pair && user.len() <= USER_AND_PASSWORD_MAX
        };
        if !users.iter().all(is_user) {
            return Err(ProtectError::User(source));
        }
        if users.is_empty() {
            return Err(ProtectError::NoUsers);
        }
        Ok(Protection { only_previews: self.only == ProtectOnly::Previews, users })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(file: Option<&str>, variable: Option<&str>) -> Result<Vec<String>, String> {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join("dist")).unwrap();
        std::fs::write(root.path().join(".users"), "# staff\nann:x y\n\n bob:z:1\n").unwrap();
        std::fs::write(root.path().join("marked"), "\u{feff}ann:x\r\n").unwrap();
        std::fs::write(root.path().join("dist/users"), "ann:x\n").unwrap();
        let settings = ProtectSettings { only: ProtectOnly::Previews, users_file: file.map(PathBuf::from) };
        let loaded = settings.load(root.path(), variable, &root.path().join("dist"));
        loaded.map(|protection| protection.users).map_err(|error| error.to_string())
    }

    #[test]
    fn users_come_from_the_file_or_the_variable() {
        assert_eq!(load(Some(".users"), Some("eve:1")).unwrap(), ["ann:x y", "bob:z:1"]);
        assert_eq!(load(Some("marked"), None).unwrap(), ["ann:x"], "a byte order mark is no part of a name");
        assert_eq!(load(None, Some("ann:x bob:y")).unwrap(), ["ann:x", "bob:y"]);
    }

    #[test]
    fn site_without_valid_users_is_an_error_that_names_no_password() {
        assert!(load(None, None).unwrap_err().contains("has no users"));
        assert_eq!(
            load(None, Some("secret")).unwrap_err(),
            "invalid user in VERGE_USERS: expected `user:password` of at most 512 bytes"
        );
        assert!(load(Some("missing"), None).unwrap_err().contains("failed to read `missing`"));
        for file in ["dist/users", "../users", "/etc/passwd"] {
            assert!(load(Some(file), None).unwrap_err().contains("must be in the project"), "{file}");
        }
    }
}
