//! The project: the directory to push, and the site to push it to.

mod build_dir;
mod package_json;
mod settings;

use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SiteName;

pub use self::build_dir::{BuildDir, BuildDirError};
pub use self::package_json::PackageError;
pub use self::settings::{CanarySettings, PreviewSettings, Settings};
use crate::toml_file::TomlError;

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// The nearest `verge.toml`, else the defaults.
    pub settings: Settings,
    /// Where files of the project are searched: in the directory to push, its parent, and the current directory.
    search_dirs: Vec<PathBuf>,
    /// The directory given on the command line.
    given: Option<PathBuf>,
}

/// Why the project cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// `verge.toml` is invalid.
    #[error(transparent)]
    Settings(#[from] TomlError),
    /// A file cannot be read.
    #[error("failed to read `{}`", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// `package.json` is invalid.
    #[error(transparent)]
    Package(#[from] PackageError),
    /// No flag or file names the site.
    #[error("no site name given")]
    NoSite,
    /// There is no directory to push.
    #[error(transparent)]
    Folder(#[from] BuildDirError),
}

impl ProjectError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoSite => Some("use --site NAME, or set `site = \"NAME\"` in verge.toml".to_owned()),
            Self::Folder(error) => error.hint(),
            Self::Settings(_) | Self::Read { .. } | Self::Package(_) => None,
        }
    }
}

impl Project {
    /// Finds the project around `given`, the directory given on the command line, else around `current`.
    pub fn find(given: Option<&Path>, current: &Path) -> Result<Self, ProjectError> {
        let given = given.map(|given| current.join(given));
        let mut search_dirs = Vec::new();
        if let Some(dir) = &given {
            // A directory that does not exist is reported when it is read.
            let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
            search_dirs.extend(dir.parent().map(Path::to_owned));
            search_dirs.insert(0, dir);
        }
        if !search_dirs.iter().any(|dir| dir == current) {
            search_dirs.push(current.to_owned());
        }
        let settings = match read_first(&search_dirs, "verge.toml")? {
            Some((path, text)) => Settings::parse(&path, &text)?,
            None => Settings::default(),
        };
        Ok(Self { settings, search_dirs, given })
    }

    /// The site: `given`, else from `verge.toml`, else the name in `package.json`.
    pub fn site(&self, given: Option<&SiteName>) -> Result<SiteName, ProjectError> {
        if let Some(site) = given.or(self.settings.site.as_ref()) {
            return Ok(site.clone());
        }
        let package = read_first(&self.search_dirs, "package.json")?;
        let name = package.map(|(path, text)| package_json::site_name(&path, &text)).transpose()?.flatten();
        name.ok_or(ProjectError::NoSite)
    }

    /// The nearest `netlify.toml`.
    pub fn netlify_toml(&self) -> Option<PathBuf> {
        crate::rules::find_netlify_toml(&self.search_dirs)
    }

    /// The directory to push: as given, else from `verge.toml`, else the first usual output directory with an `index.html`.
    pub fn build_dir(&self) -> Result<BuildDir, ProjectError> {
        let current = self.search_dirs.last().expect("the current directory is always searched");
        Ok(build_dir::choose(self.given.as_deref(), self.settings.dir.as_deref(), current)?)
    }
}

fn read_first(dirs: &[PathBuf], file: &str) -> Result<Option<(PathBuf, String)>, ProjectError> {
    for dir in dirs {
        let path = dir.join(file);
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
        let dir = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = dir.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        dir
    }

    fn site(tree: &tempfile::TempDir, named: Option<&str>, current: &str) -> Result<String, ProjectError> {
        let current = tree.path().join(current).canonicalize().unwrap();
        Project::find(named.map(Path::new), &current)?.site(None).map(|site| site.to_string())
    }

    #[test]
    fn site_name_comes_from_nearest_file_and_verge_toml_first() {
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
    fn given_site_overrides_files() {
        let tree = tree(&[("verge.toml", "site = \"a\"")]);
        let project = Project::find(None, tree.path()).unwrap();
        assert_eq!(project.site(Some(&"b".parse().unwrap())).unwrap().as_str(), "b");
    }

    #[test]
    fn invalid_package_json_error_names_file_and_line() {
        let tree = tree(&[("package.json", "{\n  name: 1\n}")]);
        let error = site(&tree, None, "").unwrap_err().to_string();
        assert!(error.contains("package.json:2: "), "{error}");
    }
}
