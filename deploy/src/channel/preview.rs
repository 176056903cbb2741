//! The channel of a preview: `pr-12` for a pull request, else that of the branch.

use verge_protocol::ChannelName;

use super::branch::{ChannelArg, slug};
use super::ci::CiVariables;

/// Branches that are taken for the default one where neither CI nor git says which it is.
const USUAL_DEFAULT: [&str; 2] = ["main", "master"];

/// A channel for a preview, and what it was named after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Preview {
    /// The channel; never `live`.
    pub channel: ChannelName,
    /// What it was named after: `pull request 12`, ``branch `feature/login` ``.
    pub source: String,
}

/// The branches of a git repository, as far as they are known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Branches {
    /// The one that is checked out.
    pub current: Option<String>,
    /// The default one.
    pub default: Option<String>,
}

/// Why there is no channel for a preview.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreviewError {
    /// The default branch is checked out: what is pushed from it is usually live.
    #[error("`{0}` is the default branch: it has no preview")]
    DefaultBranch(String),
    /// Neither CI nor git says what is built.
    #[error("cannot tell what to name the preview after: no pull request and no branch found")]
    NothingFound,
}

impl PreviewError {
    /// What to do about it.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::DefaultBranch(_) => {
                "leave out --preview to push to live, or use --channel NAME to push to another channel"
            }
            Self::NothingFound => "use --channel NAME",
        }
    }
}

/// Chooses the channel of a preview. The pull request comes before the branch, and CI before git.
pub fn choose(ci: &CiVariables, git: &Branches) -> Result<Preview, PreviewError> {
    if let Some(number) = ci.pull_request {
        let source = format!("pull request {number}");
        let channel = format!("pr-{number}").parse().unwrap_or_else(|_| slug(&source));
        return Ok(Preview { channel, source });
    }
    let branch = ci.branch.as_ref().or(git.current.as_ref()).ok_or(PreviewError::NothingFound)?;
    let is_default = match ci.default_branch.as_ref().or(git.default.as_ref()) {
        Some(default) => branch == default,
        None => USUAL_DEFAULT.contains(&branch.as_str()),
    };
    if is_default {
        return Err(PreviewError::DefaultBranch(branch.clone()));
    }
    let named = branch.parse::<ChannelArg>().map_err(|_| PreviewError::NothingFound)?.name;
    let channel = if named.is_live() { slug(branch) } else { named };
    Ok(Preview { channel, source: format!("branch `{branch}`") })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(
        pull_request: Option<u64>,
        branch: &str,
        default: Option<&str>,
        git: &str,
    ) -> Result<String, PreviewError> {
        let text = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        let ci = CiVariables { pull_request, branch: text(branch), default_branch: default.and_then(text) };
        choose(&ci, &Branches { current: text(git), default: None }).map(|preview| preview.channel.to_string())
    }

    #[test]
    fn pull_request_comes_before_branch_and_ci_before_git() {
        assert_eq!(chosen(Some(12), "main", None, "main").unwrap(), "pr-12");
        assert_eq!(chosen(None, "login", None, "other").unwrap(), "login");
        assert_eq!(chosen(None, "", None, "other").unwrap(), "other");
        assert!(chosen(None, "feature/login", None, "").unwrap().starts_with("feature-login-"));
        assert!(chosen(Some(u64::MAX), "", None, "").unwrap().starts_with("pull-request"));
        assert_eq!(chosen(None, "", None, ""), Err(PreviewError::NothingFound));
    }

    #[test]
    fn default_branch_has_no_preview() {
        for branch in ["main", "master"] {
            assert_eq!(chosen(None, branch, None, ""), Err(PreviewError::DefaultBranch(branch.to_owned())));
        }
        assert_eq!(chosen(None, "trunk", Some("trunk"), ""), Err(PreviewError::DefaultBranch("trunk".to_owned())));
        assert_eq!(chosen(None, "main", Some("trunk"), "").unwrap(), "main");
    }

    #[test]
    fn branch_named_live_does_not_become_the_live_channel() {
        assert!(chosen(None, "live", None, "").unwrap().starts_with("live-"));
    }
}
