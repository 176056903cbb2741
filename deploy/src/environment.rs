//! What is read of the process, once, in `main`.

use std::ffi::OsString;
use std::path::PathBuf;

use verge_protocol::Timestamp;

use crate::client::Token;
use crate::profile::{self, Platform};

/// The process as the commands see it: nothing below `main` reads a variable, a clock or the current folder.
#[derive(Debug, Clone)]
pub struct Environment {
    /// `VERGE_ORIGIN`.
    pub origin: Option<String>,
    /// `VERGE_TOKEN`.
    pub token: Option<Token>,
    /// `VERGE_NODE`.
    pub node: Option<String>,
    /// Where the profile lies; `None` when the process has no home.
    pub profile: Option<PathBuf>,
    /// Who runs it: `USER`, or `USERNAME` on Windows.
    pub user: Option<String>,
    /// Whether color may be used where a terminal shows it: `NO_COLOR` is unset or empty, and `TERM` is not `dumb`.
    pub color: bool,
    /// Where data are kept unless something else is asked for; `None` when the process has no home.
    pub data: Option<PathBuf>,
    /// How this program was called, to be shown in what a person can type next.
    pub program: String,
    /// The folder that relative paths start from.
    pub current_dir: PathBuf,
    /// When it started.
    pub now: Timestamp,
}

impl Environment {
    /// Reads what matters through `variable`. An empty variable counts as unset.
    pub fn read(variable: impl Fn(&str) -> Option<OsString>, current_dir: PathBuf, now: Timestamp) -> Self {
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| variable(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            origin: text("VERGE_ORIGIN"),
            token: text("VERGE_TOKEN").map(Token::new),
            node: text("VERGE_NODE"),
            data: profile::data_dir(variable, Platform::HERE),
            program: "verge".to_owned(),
            profile: profile::path(variable, Platform::HERE),
            user: text("USER").or_else(|| text("USERNAME")),
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
    fn an_empty_variable_counts_as_unset() {
        let empty = environment(&[("VERGE_ORIGIN", ""), ("VERGE_TOKEN", ""), ("NO_COLOR", "")]);
        assert_eq!((empty.origin, empty.token, empty.color), (None, None, true));
    }

    #[test]
    fn color_is_turned_off_by_either_convention() {
        assert!(environment(&[("TERM", "xterm")]).color);
        assert!(!environment(&[("NO_COLOR", "1")]).color);
        assert!(!environment(&[("TERM", "dumb")]).color);
    }

    #[test]
    fn the_token_is_never_printed() {
        let printed = format!("{:?}", environment(&[("VERGE_TOKEN", "vrg_secret")]));
        assert!(!printed.contains("secret"), "{printed}");
    }
}
