//! Who does something, and from which commit: from flags, else git, else the current user.

use std::path::Path;

use verge_protocol::api::Provenance;

use crate::cli;
use crate::environment::Environment;
use crate::git;

/// The provenance of the release. Without git, or outside a repository, it has no commit.
pub(super) async fn find(arguments: &cli::Push, dir: &Path, user: Option<&str>) -> Provenance {
    let dir = dir.to_owned();
    let git = tokio::task::spawn_blocking(move || Git::query(&dir)).await.unwrap_or_default();
    Provenance {
        author: arguments.author.clone().or(git.user).or_else(|| user.map(str::to_owned)),
        message: arguments.message.clone(),
        commit: git.commit,
    }
}

/// Who runs the command.
pub(super) async fn author_of(environment: &Environment) -> Option<String> {
    author(None, &environment.current_dir, environment.user.as_deref()).await
}

/// Who does something.
pub(super) async fn author(flag: Option<&String>, dir: &Path, user: Option<&str>) -> Option<String> {
    if flag.is_some() {
        return flag.cloned();
    }
    let dir = dir.to_owned();
    let git = tokio::task::spawn_blocking(move || Git::query(&dir)).await.unwrap_or_default();
    git.user.or_else(|| user.map(str::to_owned))
}

#[derive(Default)]
struct Git {
    commit: Option<String>,
    user: Option<String>,
}

impl Git {
    fn query(dir: &Path) -> Self {
        let answer = |arguments: &[&str]| git::query(dir, arguments);
        Self { commit: answer(&["rev-parse", "--verify", "HEAD"]), user: answer(&["config", "user.name"]) }
    }
}
