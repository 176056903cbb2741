//! Problems of a directory. All are reported at once.

use std::fmt;
use std::io;

use verge_protocol::SitePath;
use verge_protocol::path::PathError;
use verge_protocol::rules::LimitError;

/// How many problems are listed; the rest are counted.
const PROBLEMS_SHOWN: usize = 20;

/// A reason why a directory cannot be pushed. Paths are relative to the directory.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// There are no files.
    #[error("the directory has no files to serve")]
    Empty,
    /// There is no `index.html`.
    #[error("index.html is missing")]
    NoIndex,
    /// A single-page app without `index.html`.
    #[error("index.html is missing, which a single-page app requires")]
    NoSinglePage,
    /// A `.env` file.
    #[error("{0}: environment file, may contain secrets")]
    EnvironmentFile(String),
    /// A private key.
    #[error("{0}: private key")]
    PrivateKey(SitePath),
    /// A symbolic link out of the directory.
    #[error("{path}: symbolic link to {target}, outside the directory")]
    Outside {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A symbolic link to something hidden.
    #[error("{path}: symbolic link to {target}, which is hidden and may contain secrets")]
    Hidden {
        /// The link.
        path: String,
        /// Its target, relative to the directory.
        target: String,
    },
    /// A symbolic link to a file that configures the push, such as `_headers`.
    #[error("{path}: symbolic link to {target}, which configures the push and may contain passwords")]
    Control {
        /// The link.
        path: String,
        /// Its target, relative to the directory.
        target: String,
    },
    /// A symbolic link to something that does not exist.
    #[error("{path}: symbolic link to {target}, which does not exist")]
    Dangling {
        /// The link.
        path: String,
        /// Its target.
        target: String,
    },
    /// A symbolic link to one of its parent directories.
    #[error("{0}: symbolic link to a parent directory")]
    Loop(String),
    /// A socket, device or pipe.
    #[error("{0}: not a regular file or directory")]
    Special(String),
    /// A name that cannot be in a URL.
    #[error("{path}: {reason}", path = printable(path), reason = name_reason(reason))]
    Name {
        /// The name.
        path: String,
        /// Why.
        reason: PathError,
    },
    /// Two names that look the same and differ only in how accents are encoded: links cannot tell them apart.
    #[error("{path}: two files have this name in Unicode normalization form C: {}", names.each_ref().map(|name| escaped(name)).join(" and "))]
    SameName {
        /// The path of both.
        path: SitePath,
        /// Their names on disk.
        names: [String; 2],
    },
    /// A file that configures the push, with its name in another case: it is neither read nor served.
    #[error("{path}: not read, because the name is `{name}`")]
    Misspelled {
        /// The file.
        path: String,
        /// The name with which it is read.
        name: &'static str,
    },
    /// A name that is not UTF-8.
    #[error("{0:?}: the name is not valid UTF-8")]
    NotUtf8(std::path::PathBuf),
    /// A file or directory that cannot be read.
    #[error("{path}: failed to read: {source}")]
    Unreadable {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// An invalid pattern in `.assetsignore`.
    #[error(".assetsignore:{line}: {reason}")]
    Pattern {
        /// The line.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A rule that is invalid or not supported yet.
    #[error("{0}")]
    Rule(String),
    /// An error in rules that no flag ignores: a password, or a file with one whose rules are not known. Or a rule beside such an error.
    #[error("{0}")]
    RequiredRule(String),
    /// An error in a file whose rules are not known, without a password. Or a rule beside such an error.
    #[error("{0}")]
    UnknownRules(String),
    /// There are too many rules.
    #[error("{0}")]
    RuleLimit(LimitError),
}

/// A path with control characters escaped.
fn printable(path: &str) -> String {
    let escaped = |character: char| match character {
        control if control.is_control() => control.escape_default().to_string(),
        other => other.to_string(),
    };
    path.chars().map(escaped).collect()
}

/// A name whose characters beyond ASCII are escaped, so that names that look the same can be told apart.
fn escaped(name: &str) -> String {
    format!(
        "`{}`",
        name.chars()
            .map(|character| if character.is_ascii() {
                character.to_string()
            } else {
                character.escape_unicode().to_string()
            })
            .collect::<String>()
    )
}

fn name_reason(error: &PathError) -> String {
    match error {
        PathError::Character(_, '\\') => "the name contains a backslash".to_owned(),
        PathError::Character(_, character) => format!("the name contains the control character {character:?}"),
        PathError::TooLong(_) => format!("the path is longer than {} bytes", SitePath::MAX),
        other => other.to_string(),
    }
}

impl Problem {
    fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Empty | Self::NoSinglePage => Some("push the directory that your build tool writes to"),
            Self::NoIndex => Some("push the directory that your build tool writes to, or use --force"),
            Self::EnvironmentFile(_) | Self::PrivateKey(_) => {
                Some("move secrets out of the directory or list them in .assetsignore, or use --allow-secrets")
            }
            Self::Rule(_) => Some("correct the rules, or use --ignore-rules to push without those named here"),
            Self::RequiredRule(_) => Some("correct the rules: without them, what has a password would be published"),
            Self::UnknownRules(_) => {
                Some("correct the rules: --ignore-rules cannot leave out a file that it cannot read")
            }
            Self::RuleLimit(_) => {
                Some("combine rules, with `*` and `:name`, or remove those that nobody follows any more")
            }
            Self::SameName { .. } => Some("delete or rename one of them, or list one in .assetsignore"),
            Self::Misspelled { .. } => Some("rename the file"),
            Self::Name { .. } | Self::NotUtf8(_) => Some("rename the file, or list it in .assetsignore"),
            Self::Outside { .. } | Self::Dangling { .. } | Self::Loop(_) => {
                Some("replace the link with its target, or list it in .assetsignore")
            }
            Self::Hidden { .. } | Self::Control { .. } => Some("remove the link, or list it in .assetsignore"),
            Self::Pattern { .. } => Some(
                "correct .assetsignore: it is UTF-8 text with the syntax of .gitignore, in which `\\[` stands for a bracket",
            ),
            Self::Special(_) | Self::Unreadable { .. } => None,
        }
    }
}

/// A directory that cannot be pushed, and all of its problems.
#[derive(Debug)]
pub struct ScanError {
    problems: Vec<Problem>,
}

impl ScanError {
    pub(super) fn new(problems: Vec<Problem>) -> Self {
        Self { problems }
    }

    /// The problems, one line each.
    pub fn details(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.problems.iter().take(PROBLEMS_SHOWN).map(ToString::to_string).collect();
        if self.problems.len() > PROBLEMS_SHOWN {
            lines.push(format!("… and {} more", self.problems.len() - PROBLEMS_SHOWN));
        }
        lines
    }

    /// The hints, without duplicates.
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

impl fmt::Display for ScanError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the directory cannot be pushed")
    }
}

impl std::error::Error for ScanError {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project::tests::tree;
    use crate::scan::{Listing, Options};

    #[test]
    fn hint_about_passwords_is_only_for_files_that_have_one() {
        let hints = |toml: &str, ignore_rules| {
            let tree = tree(&[("index.html", ""), ("_headers", "/a\n  Age: 1\n"), ("netlify.toml", toml)]);
            let netlify_toml = Some(tree.path().join("netlify.toml"));
            let options = Options { ignore_rules, netlify_toml, ..Options::default() };
            ScanError::new(Listing::new(tree.path(), options).problems).hints().concat()
        };
        for toml in [
            "[[redirects]]\nfrom = \"/a\"\ntoo = \"/b\"\n",
            "[[redirects]]\nto = \"/b\"\n",
            "[[headers]]\nfor = \"/a\"\nvalues = {X-Num = 5}\n",
        ] {
            for ignore_rules in [false, true] {
                let hints = hints(toml, ignore_rules);
                assert!(!hints.is_empty() && !hints.contains("password"), "{toml}: {hints}");
            }
            let with_password = format!("{toml}[[headers]]\nfor = \"/b\"\n[headers.values]\nBasic-Auth = \"ann:x\"\n");
            assert!(hints(&with_password, true).contains("what has a password would be published"), "{toml}");
        }
        for toml in ["[header]\nBasic-Auth = \"ann:x\"\n", "Basic-Auth = \"ann:x\"\n"] {
            assert!(hints(toml, true).contains("what has a password would be published"), "{toml}");
        }
        assert_eq!(hints("[[redirect]]\nfrom = \"/a\"\n", true), "");
        assert!(hints("[[redirect]]\nfrom = \"/a\"\n", false).contains("--ignore-rules"));
    }
}
