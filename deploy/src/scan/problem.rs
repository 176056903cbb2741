//! What is wrong with a folder. All of it is told at once.

use std::fmt;
use std::io;

use verge_protocol::SitePath;
use verge_protocol::path::PathError;

/// How many problems are named; the rest is counted.
const NAMED: usize = 20;

/// One thing that stands in the way. Paths are relative to the folder, as a person would type them.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// Nothing to push.
    #[error("the folder holds no file that can be served")]
    Empty,
    /// No page to begin with.
    #[error("there is no index.html")]
    NoIndex,
    /// A single-page app without its page.
    #[error("a single-page app needs an index.html, and there is none")]
    NoPage,
    /// A file made to hold secrets.
    #[error("{0}: an environment file, which may hold secrets")]
    EnvironmentFile(String),
    /// A private key.
    #[error("{0}: a private key")]
    PrivateKey(SitePath),
    /// A link out of the folder.
    #[error("{path}: a link that leaves the folder, to {target}")]
    Outside {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A link to something hidden, or below it.
    #[error("{path}: a link to {target}, which is hidden and may hold secrets")]
    Hidden {
        /// The link.
        path: String,
        /// Where it leads, within the folder.
        target: String,
    },
    /// A link to nothing.
    #[error("{path}: a link to {target}, which is not there")]
    Dangling {
        /// The link.
        path: String,
        /// Where it leads.
        target: String,
    },
    /// A link to a folder that it lies in.
    #[error("{0}: a link back to a folder that it lies in")]
    Loop(String),
    /// Neither file nor folder.
    #[error("{0}: neither a file nor a folder")]
    Special(String),
    /// A name that no URL can spell.
    #[error("{path}: {reason}", path = printable(path), reason = name_reason(reason))]
    Name {
        /// The name.
        path: String,
        /// Why not.
        reason: PathError,
    },
    /// A name that is not text.
    #[error("{0:?}: its name is not UTF-8")]
    NotText(std::path::PathBuf),
    /// A file or folder that cannot be read.
    #[error("{path}: cannot be read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A pattern of `.assetsignore` that is none.
    #[error(".assetsignore:{line}: {reason}")]
    Pattern {
        /// Where.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A rule that is not evaluated yet.
    #[error("{0}: not evaluated yet by Verge")]
    Rule(String),
}

/// A path as it may be printed: what a terminal would obey is spelled out.
fn printable(path: &str) -> String {
    let spelled = |character: char| match character {
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    path.chars().map(spelled).collect()
}

fn name_reason(error: &PathError) -> String {
    match error {
        PathError::Character(_, '\\') => "its name contains a backslash".to_owned(),
        PathError::Character(_, character) => format!("its name contains the control character {character:?}"),
        PathError::TooLong(_) => format!("its path is longer than {} bytes", SitePath::MAX),
        other => other.to_string(),
    }
}

impl Problem {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::NoPage => Some("is it the folder that the build writes to?"),
            Self::NoIndex => Some("is it the folder that the build writes to? --force pushes it as it is"),
            Self::EnvironmentFile(_) | Self::PrivateKey(_) => Some(
                "move secrets out of the folder, or name them in .assetsignore; --allow-secrets pushes all the same",
            ),
            Self::Rule(_) => Some("--ignore-rules pushes without these rules"),
            Self::Name { .. } | Self::NotText(_) => Some("rename the file, or name it in .assetsignore"),
            Self::Outside { .. } | Self::Dangling { .. } | Self::Loop(_) => {
                Some("replace the link by what it should lead to, or name it in .assetsignore")
            }
            Self::Hidden { .. } => Some("remove the link, or name it in .assetsignore"),
            Self::Special(_) | Self::Unreadable { .. } | Self::Pattern { .. } => None,
        }
    }
}

/// A folder that cannot be pushed, and everything that is wrong with it.
#[derive(Debug)]
pub struct Refused {
    problems: Vec<Problem>,
}

impl Refused {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// Everything that is wrong, a line each.
    pub fn details(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.problems.iter().take(NAMED).map(ToString::to_string).collect();
        if self.problems.len() > NAMED {
            lines.push(format!("… and {} more", self.problems.len() - NAMED));
        }
        lines
    }

    /// What to do about it, each thing once.
    pub fn hints(&self) -> Vec<String> {
        let mut hints: Vec<&str> = Vec::new();
        for hint in self.problems.iter().filter_map(Problem::hint) {
            if !hints.contains(&hint) {
                hints.push(hint);
            }
        }
        hints.into_iter().map(str::to_owned).collect()
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the folder cannot be pushed as it is")
    }
}

impl std::error::Error for Refused {}
