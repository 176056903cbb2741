//! Where a release comes from: flags, then git, then the user.

use std::path::Path;
use std::process::{Command, Stdio};

use verge_protocol::api::Provenance;

use crate::cli;

/// What the release says of itself. Without git, or outside a repository, it says less.
pub(super) async fn find(arguments: &cli::Push, folder: &Path, user: Option<&str>) -> Provenance {
    let folder = folder.to_owned();
    let git = tokio::task::spawn_blocking(move || Git::ask(&folder)).await.unwrap_or_default();
    Provenance {
        author: arguments.author.clone().or(git.user).or_else(|| user.map(str::to_owned)),
        message: arguments.message.clone(),
        commit: git.commit,
    }
}

#[derive(Default)]
struct Git {
    commit: Option<String>,
    user: Option<String>,
}

impl Git {
    fn ask(folder: &Path) -> Self {
        let answer = |arguments: &[&str]| {
            let output = Command::new("git")
                .current_dir(folder)
                .args(arguments)
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .ok()?;
            let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
            Some(text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        Self { commit: answer(&["rev-parse", "--verify", "HEAD"]), user: answer(&["config", "user.name"]) }
    }
}
