//! Which folder is pushed.

use std::path::{Path, PathBuf};

/// The folders that builds usually write to, the likeliest first.
const USUAL: [&str; 5] = ["build", "dist", "out", "public", "_site"];

/// A folder, and how it came to be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chosen {
    /// The folder.
    pub path: PathBuf,
    /// Why this one; `None` when it was named on the command line, and needs no explanation.
    pub because: Option<&'static str>,
}

/// Why there is no folder to push.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FolderError {
    /// The one that was named is not there.
    #[error("there is no folder {}", .0.display())]
    Missing(PathBuf),
    /// The one that was named is a file.
    #[error("{} is not a folder", .0.display())]
    NotAFolder(PathBuf),
    /// None was named, and none of the usual ones holds an `index.html`.
    #[error("there is no folder to push in {}", root.display())]
    NoneFound {
        /// Where it was looked for.
        root: PathBuf,
        /// Usual folders that are there, without an `index.html`.
        without_index: Vec<&'static str>,
    },
}

impl FolderError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some("run the build first".to_owned()),
            Self::NotAFolder(_) => Some("name the folder that the build writes to".to_owned()),
            Self::NoneFound { without_index, .. } if without_index.is_empty() => Some(format!(
                "run the build first, or name the folder: verge push DIR (looked for {})",
                USUAL.map(|name| format!("{name}/")).join(", ")
            )),
            Self::NoneFound { without_index, .. } => Some(format!(
                "{} holds no index.html: run the build first, or name the folder: verge push DIR",
                without_index.iter().map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

/// Chooses: what was `named`, else what is `set`, else the first usual folder in `current` that holds an `index.html`.
pub(super) fn choose(named: Option<&Path>, set: Option<&Path>, current: &Path) -> Result<Chosen, FolderError> {
    let (path, because) = match (named, set) {
        (Some(named), _) => (named, None),
        (None, Some(set)) => (set, Some("set in verge.toml")),
        (None, None) => return usual(current),
    };
    if path.is_dir() {
        Ok(Chosen { path: path.to_owned(), because })
    } else if path.exists() {
        Err(FolderError::NotAFolder(path.to_owned()))
    } else {
        Err(FolderError::Missing(path.to_owned()))
    }
}

fn usual(current: &Path) -> Result<Chosen, FolderError> {
    let mut without_index = Vec::new();
    for name in USUAL {
        let path = current.join(name);
        if path.join("index.html").is_file() {
            return Ok(Chosen { path, because: Some("the first build folder with an index.html") });
        }
        if path.is_dir() {
            without_index.push(name);
        }
    }
    Err(FolderError::NoneFound { root: current.to_owned(), without_index })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for path in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    #[test]
    fn the_first_usual_folder_with_an_index_is_chosen() {
        let tree = tree(&["build/other.js", "out/index.html", "dist/index.html", "_site/index.html"]);
        let chosen = choose(None, None, tree.path()).unwrap();
        assert_eq!(chosen.path, tree.path().join("dist"));
        assert!(chosen.because.is_some());
    }

    #[test]
    fn what_was_named_comes_before_what_is_set_and_that_before_the_usual() {
        let tree = tree(&["dist/index.html", "a/x", "b/x"]);
        let (a, b) = (tree.path().join("a"), tree.path().join("b"));
        assert_eq!(choose(Some(&a), Some(&b), tree.path()).unwrap(), Chosen { path: a, because: None });
        assert_eq!(choose(None, Some(&b), tree.path()).unwrap().path, b);
    }

    #[test]
    fn a_folder_that_is_none_is_said_so() {
        let tree = tree(&["public/robots.txt", "file"]);
        let path = |name: &str| tree.path().join(name);
        assert_eq!(choose(Some(&path("no")), None, tree.path()), Err(FolderError::Missing(path("no"))));
        assert_eq!(choose(Some(&path("file")), None, tree.path()), Err(FolderError::NotAFolder(path("file"))));
        let error = choose(None, None, tree.path()).unwrap_err();
        assert_eq!(
            error.hint().unwrap(),
            "public/ holds no index.html: run the build first, or name the folder: verge push DIR"
        );
        let error = choose(None, None, &path("public")).unwrap_err();
        insta::assert_snapshot!(error.hint().unwrap());
    }
}
