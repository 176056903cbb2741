//! What is read from the process, once, in `main`.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

use verge_protocol::Timestamp;

use crate::channel::CiVariables;
use crate::client::Token;
use crate::platform_dirs::Platform;

/// Users with their passwords, each as `user:password`, separated by white space.
#[derive(Clone)]
pub struct Users(String);

impl Users {
    /// The text.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Users {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Users(…)")
    }
}

/// The environment of a command. Nothing below `main` reads variables, the clock or the current directory.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `VERGE_ORIGIN`.
    pub origin: Option<String>,
    /// `VERGE_TOKEN`.
    pub token: Option<Token>,
    /// `VERGE_PIN`.
    pub pin: Option<String>,
    /// `VERGE_NAME_SERVER`.
    pub name_server: Option<String>,
    /// `VERGE_USERS`: users with their passwords, for `[protect]` in `verge.toml`.
    pub users: Option<Users>,
    /// The path of the profile: `VERGE_PROFILE`, else `verge/profile.toml` in the platform's configuration directory; `None` without
    /// a home directory.
    pub profile: Option<PathBuf>,
    /// The current user: `USER`, or `USERNAME` on Windows.
    pub user: Option<String>,
    /// Whether colors are allowed: `NO_COLOR` is unset or empty, and `TERM` is not `dumb`.
    pub color: bool,
    /// What CI runs for, for `verge push --preview`.
    pub ci: CiVariables,
    /// The default data directory of `verge up`; `None` without a home directory.
    pub data: Option<PathBuf>,
    /// How to call this program, for commands shown to the user.
    pub program: String,
    /// The directory that relative paths refer to.
    pub current_dir: PathBuf,
    /// The time at which the command started.
    pub now: Timestamp,
}

impl Environment {
    /// Reads variables through `variable`. An empty variable counts as unset.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>, current_dir: PathBuf, now: Timestamp) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            origin: text("VERGE_ORIGIN"),
            token: text("VERGE_TOKEN").map(Token::new),
            pin: text("VERGE_PIN"),
            name_server: text("VERGE_NAME_SERVER"),
            users: text("VERGE_USERS").map(Users),
            data: Platform::CURRENT.data_dir(variable).map(|dir| dir.join("verge")),
            program: "verge".to_owned(),
            profile: variable("VERGE_PROFILE")
                .map(PathBuf::from)
                .or_else(|| Platform::CURRENT.config_dir(variable).map(|dir| dir.join("verge").join("profile.toml"))),
            user: text("USER").or_else(|| text("USERNAME")),
            ci: CiVariables::read(text),
            color: variable("NO_COLOR").is_none() && text("TERM").is_none_or(|term| term != "dumb"),
            current_dir,
            now,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        Environment::read(variable, "/work".into(), Timestamp(0))
    }

    #[test]
    fn empty_variable_counts_as_unset() {
        let empty = environment(&[("VERGE_ORIGIN", ""), ("VERGE_TOKEN", ""), ("NO_COLOR", "")]);
        assert_eq!((empty.origin, empty.token, empty.color), (None, None, true));
    }

    #[test]
    fn profile_path_is_taken_from_verge_profile() {
        let chosen = environment(&[("HOME", "/home/ann"), ("VERGE_PROFILE", "here.toml")]);
        assert_eq!(chosen.profile, Some("here.toml".into()));
        assert_eq!(environment(&[]).profile, None);
    }

    #[test]
    fn color_is_disabled_by_no_color_and_dumb_terminal() {
        assert!(environment(&[("TERM", "xterm")]).color);
        assert!(!environment(&[("NO_COLOR", "1")]).color);
        assert!(!environment(&[("TERM", "dumb")]).color);
    }

    #[test]
    fn debug_output_does_not_contain_secrets() {
        let printed = format!("{:?}", environment(&[("VERGE_TOKEN", "vrg_secret"), ("VERGE_USERS", "ann:secret")]));
        assert!(!printed.contains("secret"), "{printed}");
    }
}
