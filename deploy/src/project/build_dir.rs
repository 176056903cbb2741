//! The directory to push.

use std::path::{Path, PathBuf};

/// The usual output directories of build tools, most likely first.
const USUAL: [&str; 5] = ["build", "dist", "out", "public", "_site"];

/// The directory to push, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildDir {
    /// The directory.
    pub path: PathBuf,
    /// Why it was chosen; `None`: it was given on the command line.
    pub reason: Option<&'static str>,
}

/// Why there is no directory to push.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildDirError {
    /// The given directory does not exist.
    #[error("directory `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The given path is not a directory.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// None was given, and none of the usual directories has an `index.html`.
    #[error("no build output found in `{}`", root.display())]
    NoneFound {
        /// The directory that was searched.
        root: PathBuf,
        /// Usual directories that exist without an `index.html`.
        without_index: Vec<&'static str>,
    },
}

impl BuildDirError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some("run the build first".to_owned()),
            Self::NotADirectory(_) => Some("push the directory that your build tool writes to".to_owned()),
            Self::NoneFound { without_index, .. } if without_index.is_empty() => Some(format!(
                "run the build first, or push another directory with `verge push DIR` (searched {})",
                USUAL.map(|name| format!("{name}/")).join(", ")
            )),
            Self::NoneFound { without_index, .. } => Some(format!(
                "{} has no index.html: run the build first, or push another directory with `verge push DIR`",
                without_index.iter().map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

/// `given`, else `configured`, else the first usual directory in `current` that has an `index.html`.
pub(super) fn choose(
    given: Option<&Path>,
    configured: Option<&Path>,
    current: &Path,
) -> Result<BuildDir, BuildDirError> {
    let (path, reason) = match (given, configured) {
        (Some(given), _) => (given, None),
        (None, Some(configured)) => (configured, Some("set in verge.toml")),
        (None, None) => return find_usual(current),
    };
    if path.is_dir() {
        Ok(BuildDir { path: path.to_owned(), reason })
    } else if path.exists() {
        Err(BuildDirError::NotADirectory(path.to_owned()))
    } else {
        Err(BuildDirError::Missing(path.to_owned()))
    }
}

fn find_usual(current: &Path) -> Result<BuildDir, BuildDirError> {
    let mut without_index = Vec::new();
    for name in USUAL {
        let path = current.join(name);
        if path.join("index.html").is_file() {
            return Ok(BuildDir { path, reason: Some("detected: first build directory with an index.html") });
        }
        if path.is_dir() {
            without_index.push(name);
        }
    }
    Err(BuildDirError::NoneFound { root: current.to_owned(), without_index })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for path in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        dir
    }

    #[test]
    fn first_usual_directory_with_index_is_chosen() {
        let tree = tree(&["build/other.js", "out/index.html", "dist/index.html", "_site/index.html"]);
        let chosen = choose(None, None, tree.path()).unwrap();
        assert_eq!(chosen.path, tree.path().join("dist"));
        assert!(chosen.reason.is_some());
    }

    #[test]
    fn given_directory_overrides_configured_which_overrides_usual() {
        let tree = tree(&["dist/index.html", "a/x", "b/x"]);
        let (a, b) = (tree.path().join("a"), tree.path().join("b"));
        assert_eq!(choose(Some(&a), Some(&b), tree.path()).unwrap(), BuildDir { path: a, reason: None });
        assert_eq!(choose(None, Some(&b), tree.path()).unwrap().path, b);
    }

    #[test]
    fn missing_directory_error_has_hint() {
        let tree = tree(&["public/robots.txt", "file"]);
        let path = |name: &str| tree.path().join(name);
        assert_eq!(choose(Some(&path("no")), None, tree.path()), Err(BuildDirError::Missing(path("no"))));
        assert_eq!(choose(Some(&path("file")), None, tree.path()), Err(BuildDirError::NotADirectory(path("file"))));
        let error = choose(None, None, tree.path()).unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "public/ has no index.html: run the build first, or push another directory with `verge push DIR`"
        );
        let error = choose(None, None, &path("public")).unwrap_err();
        insta::assert_snapshot!(error.hint().unwrap());
    }
}
