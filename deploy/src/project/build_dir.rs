//! The directory to push.

mod usual;

use std::path::{Path, PathBuf};

use super::source_tree;

/// How many usual directories a hint names.
const SEARCHED_SHOWN: [&str; 8] =
    ["build", "dist", "out", "_site", "public", ".output/public", "dist/*/browser", ".vitepress/dist"];

/// The directory to push, and why it was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildDir {
    /// The directory.
    pub path: PathBuf,
    /// Why it was chosen; `None`: it was given on the command line.
    pub reason: Option<String>,
    /// Other output directories with an `index.html`, which were not chosen.
    pub others: Vec<PathBuf>,
}

/// A directory that a settings file names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Configured {
    /// The directory.
    pub(super) path: PathBuf,
    /// The file that names it.
    pub(super) file: PathBuf,
    /// The setting, such as `dir`.
    pub(super) key: &'static str,
}

/// Why there is no directory to push.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildDirError {
    /// The directory does not exist.
    #[error("directory `{}` does not exist", .0.display())]
    Missing(PathBuf),
    /// The path is not a directory.
    #[error("`{}` is not a directory", .0.display())]
    NotADirectory(PathBuf),
    /// A settings file names a directory outside of its project.
    #[error("`{key}` in `{}` leads out of the project: `{}`", file.display(), path.display())]
    Outside {
        /// The setting.
        key: &'static str,
        /// The file.
        file: PathBuf,
        /// The directory.
        path: PathBuf,
    },
    /// The given directory holds sources, and no output of a build.
    #[error("`{}` holds the sources of a site, and no output of a build", .0.display())]
    Sources(PathBuf),
    /// None was given, and none of the usual directories has an `index.html`.
    #[error("no build output found in `{}`", root.display())]
    NoneFound {
        /// The directory that was searched.
        root: PathBuf,
        /// Usual directories that exist without an `index.html`.
        without_index: Vec<&'static str>,
        /// Whether the directory itself has an `index.html`, and is no source tree.
        is_site: bool,
    },
}

impl BuildDirError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => Some("run the build first".to_owned()),
            Self::NotADirectory(_) => Some("push the directory that your build tool writes to".to_owned()),
            Self::Outside { path, .. } => Some(format!(
                "to push it all the same, name it on the command line: `verge push {}`",
                path.display()
            )),
            Self::Sources(_) => Some(
                "run the build first, or name its output, such as `verge push dist`; to publish the sources as they are, set `dir = \".\"` in \
                 verge.toml"
                    .to_owned(),
            ),
            Self::NoneFound { is_site: true, .. } => {
                Some("to push this directory itself, use `verge push .`; else run the build first".to_owned())
            }
            Self::NoneFound { without_index, .. } if without_index.is_empty() => Some(format!(
                "run the build first, or push another directory with `verge push DIR` (searched {} and others)",
                SEARCHED_SHOWN.map(|name| format!("{name}/")).join(", ")
            )),
            Self::NoneFound { without_index, .. } => Some(format!(
                "{} has no index.html: run the build first, or push another directory with `verge push DIR`",
                without_index.iter().map(|name| format!("{name}/")).collect::<Vec<_>>().join(", ")
            )),
        }
    }
}

/// `given`, else `configured`, else `current` if a build tool writes there, else the most certain usual directory in it that has an
/// `index.html`. If `given` holds sources, what is configured or usual inside it is meant, unless `allow_sources`.
pub(super) fn choose(
    given: Option<&Path>,
    configured: Option<&Configured>,
    current: &Path,
    allow_sources: bool,
) -> Result<BuildDir, BuildDirError> {
    let Some(given) = given else {
        return match configured {
            Some(configured) => configured.open(),
            None if output_root(current).is_some() && current.join("index.html").is_file() => {
                let reason = Some("the current directory is the output of a build".to_owned());
                Ok(BuildDir { path: current.to_owned(), reason, others: Vec::new() })
            }
            None => find_usual(current),
        };
    };
    check_dir(given)?;
    let chosen = BuildDir { path: given.to_owned(), reason: None, others: Vec::new() };
    if allow_sources || output_root(given).is_some() || !source_tree::is_source_tree(given) {
        return Ok(chosen);
    }
    let root = canonical(given);
    match configured.filter(|configured| canonical(configured.dir_of_file()) == root) {
        // Said by hand: the sources are the site.
        Some(configured) if canonical(&configured.path) == root => Ok(chosen),
        Some(configured) => configured.open(),
        None => match find_usual(given) {
            Err(BuildDirError::NoneFound { .. }) => Err(BuildDirError::Sources(given.to_owned())),
            found => found,
        },
    }
}

impl Configured {
    fn dir_of_file(&self) -> &Path {
        self.file.parent().unwrap_or(Path::new(""))
    }

    /// The directory, if it is one. It must be in the repository of the file, or in the file's directory if that is in none: a build is
    /// published by machines that have more to hide than the project.
    fn open(&self) -> Result<BuildDir, BuildDirError> {
        check_dir(&self.path)?;
        let dir = canonical(self.dir_of_file());
        let root = dir.ancestors().find(|ancestor| ancestor.join(".git").exists()).unwrap_or(&dir);
        if !canonical(&self.path).starts_with(root) {
            return Err(BuildDirError::Outside { key: self.key, file: self.file.clone(), path: self.path.clone() });
        }
        let file = self.file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(BuildDir { path: self.path.clone(), reason: Some(format!("set in {file}")), others: Vec::new() })
    }
}

/// The project that has its output in `dir`: the nearest directory above with settings or a `package.json` for which `dir` is a usual one,
/// else the nearest with other sources.
pub(super) fn output_root(dir: &Path) -> Option<PathBuf> {
    let dir = canonical(dir);
    let is_named =
        |root: &&Path| ["verge.toml", "netlify.toml", "package.json"].iter().any(|file| root.join(file).is_file());
    let candidates = || {
        dir.ancestors().skip(1).take(4).filter(|root| {
            let is_output = |inside: &Path| usual::is_usual(inside) && !usual::is_source(root, inside);
            dir.strip_prefix(root).is_ok_and(is_output)
        })
    };
    let found = candidates().find(is_named).or_else(|| candidates().find(|root| source_tree::is_source_tree(root)));
    found.map(Path::to_owned)
}

/// Whether build tools write to a directory with this path, relative to its project.
pub(super) fn is_usual(dir: &Path) -> bool {
    usual::is_usual(dir)
}

fn check_dir(path: &Path) -> Result<(), BuildDirError> {
    if path.is_dir() {
        Ok(())
    } else if path.exists() {
        Err(BuildDirError::NotADirectory(path.to_owned()))
    } else {
        Err(BuildDirError::Missing(path.to_owned()))
    }
}

fn find_usual(root: &Path) -> Result<BuildDir, BuildDirError> {
    let usual::Found { outputs, without_index } = usual::search(root);
    let mut outputs = outputs.into_iter().map(|dir| root.join(dir));
    match outputs.next() {
        Some(path) => Ok(BuildDir {
            path,
            reason: Some("detected: a build directory with an index.html".to_owned()),
            others: outputs.collect(),
        }),
        None => Err(BuildDirError::NoneFound {
            root: root.to_owned(),
            without_index,
            is_site: root.join("index.html").is_file() && !source_tree::is_source_tree(root),
        }),
    }
}

/// Without links and dots, if it exists.
fn canonical(path: &Path) -> PathBuf {
    path.canonicalize().unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests;
