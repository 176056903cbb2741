//! Which folder is pushed, and to which site.

mod folder;
mod settings;
mod site_name;

use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SiteName;

pub use self::folder::{Chosen, FolderError};
pub use self::settings::Settings;
use crate::toml_file::TomlError;

/// A project as a command finds it.
#[derive(Debug, Clone)]
pub struct Project {
    /// The nearest `verge.toml`, or nothing but defaults.
    pub settings: Settings,
    /// The folders looked in: the one pushed, its parent, and the current one.
    roots: Vec<PathBuf>,
    /// The folder named on the command line.
    named: Option<PathBuf>,
}

/// Why a project cannot be understood.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// `verge.toml` makes no sense.
    #[error(transparent)]
    Settings(#[from] TomlError),
    /// A file that is there cannot be read.
    #[error("failed to read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `package.json` is not JSON.
    #[error("{}:{line}: {reason}", path.display())]
    Package {
        /// The file.
        path: PathBuf,
        /// Where.
        line: usize,
        /// Why.
        reason: String,
    },
    /// Nothing says what the site is called.
    #[error("the site has no name")]
    NoSite,
    /// There is no folder to push.
    #[error(transparent)]
    Folder(#[from] FolderError),
}

impl ProjectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSite => Some("name it with --site NAME, or with `site = \"NAME\"` in verge.toml".to_owned()),
            Self::Folder(error) => error.hint(),
            Self::Settings(_) | Self::Read { .. } | Self::Package { .. } => None,
        }
    }
}

impl Project {
    /// Looks for the project around `named`, the folder given on the command line, or else around `current`.
    pub fn find(named: Option<&Path>, current: &Path) -> Result<Self, ProjectError> {
        let named = named.map(|named| current.join(named));
        let mut roots = Vec::new();
        if let Some(folder) = &named {
            // What cannot be resolved is not there, which is said when it is to be read.
            let folder = folder.canonicalize().unwrap_or_else(|_| folder.clone());
            roots.extend(folder.parent().map(Path::to_owned));
            roots.insert(0, folder);
        }
        if !roots.iter().any(|root| root == current) {
            roots.push(current.to_owned());
        }
        let settings = match first_readable(&roots, "verge.toml")? {
            Some((path, text)) => Settings::parse(&path, &text)?,
            None => Settings::default(),
        };
        Ok(Self { settings, roots, named })
    }

    /// The site: as `asked`, else from `verge.toml`, else the name in `package.json`.
    pub fn site(&self, asked: Option<&SiteName>) -> Result<SiteName, ProjectError> {
        if let Some(site) = asked.or(self.settings.site.as_ref()) {
            return Ok(site.clone());
        }
        let package = first_readable(&self.roots, "package.json")?;
        let name = package.map(|(path, text)| site_name::in_package(&path, &text)).transpose()?.flatten();
        name.ok_or(ProjectError::NoSite)
    }

    /// The folder to push: as named, else from `verge.toml`, else the first that builds usually write to.
    pub fn folder(&self) -> Result<Chosen, ProjectError> {
        let current = self.roots.last().expect("the current folder is always looked in");
        Ok(folder::choose(self.named.as_deref(), self.settings.dir.as_deref(), current)?)
    }
}

fn first_readable(roots: &[PathBuf], file: &str) -> Result<Option<(PathBuf, String)>, ProjectError> {
    for root in roots {
        let path = root.join(file);
        match std::fs::read_to_string(&path) {
            Ok(text) => return Ok(Some((path, text))),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(source) => return Err(ProjectError::Read { path, source }),
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        folder
    }

    fn site(tree: &tempfile::TempDir, named: Option<&str>, current: &str) -> Result<String, ProjectError> {
        let current = tree.path().join(current).canonicalize().unwrap();
        Project::find(named.map(Path::new), &current)?.site(None).map(|site| site.to_string())
    }

    #[test]
    fn the_site_is_named_by_the_nearest_file_and_verge_toml_comes_first() {
        let tree = tree(&[
            ("app/package.json", r#"{"name":"@acme/Web App"}"#),
            ("app/dist/index.html", ""),
            ("docs/verge.toml", "site = \"manual\""),
            ("docs/package.json", r#"{"name":"other"}"#),
            ("docs/index.html", ""),
        ]);
        assert_eq!(site(&tree, None, "app").unwrap(), "web-app");
        assert_eq!(site(&tree, Some("dist"), "app").unwrap(), "web-app");
        assert_eq!(site(&tree, Some("app/dist"), "").unwrap(), "web-app");
        assert_eq!(site(&tree, Some("."), "app/dist").unwrap(), "web-app");
        assert_eq!(site(&tree, Some("docs"), "").unwrap(), "manual");
        assert!(matches!(site(&tree, None, ""), Err(ProjectError::NoSite)));
    }

    #[test]
    fn what_was_asked_for_wins() {
        let tree = tree(&[("verge.toml", "site = \"a\"")]);
        let project = Project::find(None, tree.path()).unwrap();
        assert_eq!(project.site(Some(&"b".parse().unwrap())).unwrap().as_str(), "b");
    }

    #[test]
    fn a_package_that_is_not_json_is_named_with_its_line() {
        let tree = tree(&[("package.json", "{\n  name: 1\n}")]);
        let error = site(&tree, None, "").unwrap_err().to_string();
        assert!(error.contains("package.json:2: "), "{error}");
    }
}
