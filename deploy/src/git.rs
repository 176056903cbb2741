//! Questions to git.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::channel::preview::Branches;

/// The output of `git` with these arguments, run in `dir`; `None` if it is empty, or git is not there, or fails. Blocks.
pub fn query(dir: &Path, arguments: &[&str]) -> Option<String> {
    let output = Command::new("git")
        .current_dir(dir)
        .args(arguments)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

/// The branches of the repository that `dir` is in. Blocks.
pub fn branches(dir: &Path) -> Branches {
    let default = query(dir, &["symbolic-ref", "--quiet", "--short", "refs/remotes/origin/HEAD"]);
    Branches {
        current: query(dir, &["symbolic-ref", "--quiet", "--short", "HEAD"]),
        default: default.and_then(|default| default.strip_prefix("origin/").map(str::to_owned)),
    }
}
