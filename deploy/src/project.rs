//! The project: the directory to push, and the site to push it to.

mod build_dir;
mod link;
mod netlify_toml;
mod package_json;
mod protect;
mod schema;
mod settings;
mod source_tree;

use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SiteName;

use self::build_dir::Configured;
pub use self::build_dir::{BuildDir, BuildDirError};
pub use self::link::{Link, LinkError};
pub use self::package_json::PackageError;
pub use self::protect::{ProtectError, ProtectSettings, Protection};
pub use self::schema::SCHEMA;
pub use self::settings::{CanarySettings, PreviewSettings, Settings};
use crate::environment::Users;
use crate::toml_file::TomlError;

/// The name of the settings file.
const SETTINGS_FILE: &str = "verge.toml";

/// A project.
#[derive(Debug, Clone)]
pub struct Project {
    /// The nearest `verge.toml`, else the defaults.
    pub settings: Settings,
    /// That file.
    settings_file: Option<PathBuf>,
    /// Where files of the project are searched: in the directory to push, its parent, the project that has its output there, and the
    /// current directory, and the project that has its output there.
    search_dirs: Vec<PathBuf>,
    /// The directory given on the command line.
    given: Option<PathBuf>,
    current: PathBuf,
}

/// A site, and what names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedSite {
    /// The site.
    pub site: SiteName,
    /// What names it.
    pub source: SiteSource,
}

/// What names the site of a project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SiteSource {
    /// The command line.
    Argument,
    /// `verge.toml`.
    Settings,
    /// This `package.json`. Templates of projects name many alike, so that another project may have the site.
    Package(PathBuf),
}

/// Why the project cannot be determined.
#[derive(Debug, thiserror::Error)]
pub enum ProjectError {
    /// `verge.toml` or `netlify.toml` is invalid.
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
    /// The site cannot be protected as `verge.toml` says.
    #[error(transparent)]
    Protect(#[from] ProtectError),
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
            Self::Protect(error) => error.hint(),
            Self::Settings(_) | Self::Read { .. } | Self::Package(_) => None,
        }
    }
}

impl Project {
    /// Finds the project around `given`, the directory given on the command line, else around `current`.
    pub fn find(given: Option<&Path>, current: &Path) -> Result<Self, ProjectError> {
        let given = given.map(|given| current.join(given).components().collect::<PathBuf>());
        let mut search_dirs: Vec<PathBuf> = Vec::new();
        let mut add = |dir: PathBuf| {
            if !search_dirs.contains(&dir) {
                search_dirs.push(dir);
            }
        };
        if let Some(dir) = &given {
            // A directory that does not exist is reported when it is read.
            let dir = dir.canonicalize().unwrap_or_else(|_| dir.clone());
            let parent = dir.parent().map(Path::to_owned);
            let root = build_dir::output_root(&dir);
            [Some(dir), parent, root].into_iter().flatten().for_each(&mut add);
        }
        add(current.to_owned());
        build_dir::output_root(current).into_iter().for_each(add);
        let (settings, settings_file) = match read_first(&search_dirs, SETTINGS_FILE)? {
            Some((path, text)) => (Settings::parse(&path, &text)?, Some(path)),
            None => (Settings::default(), None),
        };
        Ok(Self { settings, settings_file, search_dirs, given, current: current.to_owned() })
    }

    /// The site: `given`, else from `verge.toml`, else the name in `package.json`.
    pub fn site(&self, given: Option<&SiteName>) -> Result<SiteName, ProjectError> {
        Ok(self.named_site(given)?.site)
    }

    /// Who may read the site, or its previews, if `verge.toml` restricts that. `variable` is `VERGE_USERS`, `build_dir` what is pushed.
    pub fn protection(&self, variable: Option<&Users>, build_dir: &Path) -> Result<Option<Protection>, ProjectError> {
        let Some(protect) = &self.settings.protect else { return Ok(None) };
        let root = self.settings_file.as_deref().and_then(Path::parent).unwrap_or(Path::new(""));
        Ok(Some(protect.load(root, variable.map(Users::expose), build_dir)?))
    }

    /// The nearest `netlify.toml`. One beyond the nearest `package.json` is that of a workspace, not of this package.
    pub fn netlify_toml(&self) -> Option<PathBuf> {
        crate::rules::find_netlify_toml(self.package_dirs())
    }

    /// The first directories of the search, up to the one with the `package.json` of the project.
    fn package_dirs(&self) -> &[PathBuf] {
        // Some tools copy the file into their output, which is no project of its own.
        let has_package = |dir: &PathBuf| dir.join("package.json").is_file() && build_dir::output_root(dir).is_none();
        let end = self.search_dirs.iter().position(has_package);
        end.map_or(&self.search_dirs, |end| &self.search_dirs[..=end])
    }

    /// The directory that tells the project apart from others of the same name: that of its `package.json`, else `build_dir`.
    pub fn own_dir(&self, build_dir: &Path) -> PathBuf {
        let of_package = self.search_dirs.iter().find(|dir| dir.join("package.json").is_file());
        let dir = of_package.map_or(build_dir, PathBuf::as_path);
        dir.canonicalize().unwrap_or_else(|_| dir.to_owned())
    }

    /// The site as [`Self::site`] finds it, and what names it.
    pub fn named_site(&self, given: Option<&SiteName>) -> Result<NamedSite, ProjectError> {
        let named = |site: &SiteName, source| Ok(NamedSite { site: site.clone(), source });
        if let Some(site) = given {
            return named(site, SiteSource::Argument);
        }
        if let Some(site) = &self.settings.site {
            return named(site, SiteSource::Settings);
        }
        let Some((path, text)) = read_first(&self.search_dirs, "package.json")? else {
            return Err(ProjectError::NoSite);
        };
        let site = package_json::site_name(&path, &text)?.ok_or(ProjectError::NoSite)?;
        named(&site, SiteSource::Package(path))
    }

    /// The directory to push: as given, else from `verge.toml`, else from `netlify.toml`, else the most certain usual output directory with
    /// an `index.html`. A given directory with sources stands for its output, unless `allow_sources`.
    pub fn build_dir(&self, allow_sources: bool) -> Result<BuildDir, ProjectError> {
        let configured = self.configured_dir()?;
        Ok(build_dir::choose(self.given.as_deref(), configured.as_ref(), &self.current, allow_sources)?)
    }

    fn configured_dir(&self) -> Result<Option<Configured>, ProjectError> {
        if let (Some(path), Some(file)) = (&self.settings.dir, &self.settings_file) {
            return Ok(Some(Configured { path: path.clone(), file: file.clone(), key: "dir" }));
        }
        let Some((file, text)) = read_first(self.package_dirs(), "netlify.toml")? else { return Ok(None) };
        let publish = netlify_toml::publish(&file, &text)?;
        Ok(publish.map(|path| Configured { path, file, key: "publish" }))
    }

    /// What links the project to this site, if nothing in it names one yet.
    pub fn link(&self, named: &NamedSite, build_dir: &Path) -> Option<Link> {
        if self.settings.site.is_some() {
            return None;
        }
        let root = match (&self.settings_file, &named.source) {
            // Settings beyond the `package.json` may be those of several packages, each with a site of its own. A nearer file would hide them.
            (Some(file), _) => {
                file.parent().filter(|dir| self.package_dirs().iter().any(|near| near == dir))?.to_owned()
            }
            (None, SiteSource::Package(package)) => package.parent()?.to_owned(),
            (None, _) => self.root(build_dir)?,
        };
        let dir = link::relative_dir(&root, build_dir);
        if dir.is_none() && (self.settings.dir.is_none() || self.given.is_some()) {
            // What is pushed is not of this project.
            return None;
        }
        let dir = dir.filter(|_| self.settings.dir.is_none());
        Some(Link { file: root.join(SETTINGS_FILE), site: named.site.clone(), dir })
    }

    /// The directory for the settings of a project without a `package.json`; `None`: none that is certainly this project's alone.
    fn root(&self, build_dir: &Path) -> Option<PathBuf> {
        let dir = build_dir.canonicalize().ok()?;
        let current = self.current.canonicalize().ok()?;
        if let Some(root) = build_dir::output_root(&dir) {
            // A project elsewhere is somebody else's matter.
            return Some(root).filter(|root| root.starts_with(&current) || current.starts_with(root));
        }
        let is_project = |root: &&Path| {
            root.join(".git").exists() || root.join("package.json").is_file() || source_tree::is_source_tree(root)
        };
        let is_of_current = || match dir.strip_prefix(&current) {
            Ok(inside) => self.given.is_none() || inside == Path::new("") || build_dir::is_usual(inside),
            Err(_) => false,
        };
        dir.ancestors()
            .take_while(|root| root.starts_with(&current))
            .find(is_project)
            .map(Path::to_owned)
            .or_else(|| is_of_current().then_some(current.clone()))
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
pub(crate) mod tests {
    use super::*;

    /// A directory with these files.
    pub(crate) fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
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
    fn source_of_the_site_name_is_known() {
        let tree = tree(&[("package.json", r#"{"name":"app"}"#), ("linked/verge.toml", "site = \"a\"")]);
        let source = |current: &str, given: Option<&str>| {
            let project = Project::find(None, &tree.path().join(current)).unwrap();
            project.named_site(given.map(|site| site.parse().unwrap()).as_ref()).unwrap().source
        };
        assert_eq!(source("", Some("b")), SiteSource::Argument);
        assert_eq!(source("linked", None), SiteSource::Settings);
        assert_eq!(source("", None), SiteSource::Package(tree.path().join("package.json")));
    }

    #[test]
    fn projects_of_the_same_name_are_told_apart_by_their_directories() {
        let tree = tree(&[
            ("a/package.json", r#"{"name":"app"}"#),
            ("a/dist/index.html", ""),
            ("b/package.json", r#"{"name":"app"}"#),
            ("b/dist/index.html", ""),
            ("plain/index.html", ""),
        ]);
        let root = tree.path().canonicalize().unwrap();
        let own_dir = |given: &str, current: &str| {
            let project = Project::find(Some(Path::new(given)), &root.join(current)).unwrap();
            project.own_dir(&project.build_dir(false).unwrap().path)
        };
        for (given, current) in [(".", "a"), ("dist", "a"), ("a", ""), ("a/dist", ""), (".", "a/dist")] {
            assert_eq!(own_dir(given, current), root.join("a"), "{given} in {current}");
        }
        assert_eq!((own_dir(".", "b"), own_dir("plain", "")), (root.join("b"), root.join("plain")));
    }

    #[test]
    fn settings_of_a_workspace_hold_for_its_packages_that_have_none() {
        let tree = tree(&[
            ("verge.toml", "site = \"shop\"\nchannel = \"staging\"\n[protect]\n"),
            ("package.json", r#"{"name":"workspace"}"#),
            ("web/package.json", r#"{"name":"web"}"#),
            ("web/dist/index.html", ""),
        ]);
        for given in ["web/dist", "web"] {
            let project = Project::find(Some(Path::new(given)), tree.path()).unwrap();
            assert_eq!(project.site(None).unwrap().as_str(), "shop", "{given}");
            assert!(project.settings.channel.is_some() && project.settings.protect.is_some(), "{given}");
        }
        std::fs::write(tree.path().join("web/verge.toml"), "site = \"web\"").unwrap();
        assert_eq!(site(&tree, Some("web/dist"), "").unwrap(), "web");
    }

    #[test]
    fn settings_of_several_packages_are_not_linked_to_one() {
        let tree = tree(&[
            ("verge.toml", "spa = true\n"),
            ("web/package.json", r#"{"name":"web"}"#),
            ("web/dist/index.html", ""),
            ("plain/index.html", ""),
        ]);
        let root = tree.path().canonicalize().unwrap();
        let link = |given: &str, site: Option<&str>| {
            let project = Project::find(Some(Path::new(given)), &root).unwrap();
            let site = site.map(|site| site.parse().unwrap());
            let named = project.named_site(site.as_ref()).unwrap();
            project.link(&named, &project.build_dir(false).unwrap().path).map(|link| link.file)
        };
        assert_eq!((link("web/dist", None), link("web/dist", Some("web"))), (None, None));
        assert_eq!(link("plain", Some("plain")), Some(root.join("verge.toml")));
    }

    #[test]
    fn netlify_toml_of_a_workspace_is_not_that_of_its_packages() {
        let tree = tree(&[
            ("netlify.toml", "[build]\npublish = \"web/dist\""),
            ("package.json", r#"{"name":"workspace"}"#),
            ("web/package.json", r#"{"name":"web"}"#),
            ("web/netlify.toml", ""),
            ("web/dist/index.html", ""),
            ("web/dist/package.json", r#"{"name":"copied"}"#),
            ("admin/package.json", r#"{"name":"admin"}"#),
            ("admin/dist/index.html", ""),
            ("plain/index.html", ""),
        ]);
        let root = tree.path().canonicalize().unwrap();
        let found = |given: Option<&str>| {
            let project = Project::find(given.map(Path::new), &root).unwrap();
            let configured = project.configured_dir().unwrap().map(|configured| configured.file);
            assert!(configured.is_none() || configured == project.netlify_toml(), "{given:?}");
            project.netlify_toml().map(|file| file.strip_prefix(&root).unwrap().display().to_string())
        };
        for given in ["admin", "admin/dist"] {
            assert_eq!(found(Some(given)), None, "{given}");
        }
        for given in [None, Some("plain"), Some(".")] {
            assert_eq!(found(given).as_deref(), Some("netlify.toml"), "{given:?}");
        }
        for given in ["web", "web/dist"] {
            assert_eq!(found(Some(given)).as_deref(), Some("web/netlify.toml"), "{given}");
        }
    }

    #[test]
    fn project_is_found_from_its_output_directory() {
        let tree = tree(&[
            ("verge.toml", "site = \"a\"\ndir = \"dist/shop/browser\""),
            ("angular.json", ""),
            ("dist/shop/browser/index.html", ""),
        ]);
        let output = tree.path().join("dist/shop/browser").canonicalize().unwrap();
        for (given, current) in [(None, &*output), (Some(Path::new(".")), &output), (Some(&*output), Path::new("/"))] {
            let project = Project::find(given, current).unwrap();
            assert_eq!(project.site(None).unwrap().as_str(), "a");
            assert_eq!(project.build_dir(false).unwrap().path.canonicalize().unwrap(), output);
        }
    }

    #[test]
    fn directory_of_netlify_toml_is_pushed_unless_verge_toml_names_one() {
        let files = [("netlify.toml", "[build]\npublish = \"web\""), ("web/index.html", ""), ("dist/index.html", "")];
        let tree = tree(&files);
        let dir = || Project::find(None, tree.path()).unwrap().build_dir(false).unwrap();
        assert_eq!((dir().path, dir().reason.unwrap()), (tree.path().join("web"), "set in netlify.toml".to_owned()));
        std::fs::write(tree.path().join("verge.toml"), "dir = \"dist\"").unwrap();
        assert_eq!(dir().path, tree.path().join("dist"));
        std::fs::write(tree.path().join("netlify.toml"), "[build\n").unwrap();
        assert_eq!(dir().path, tree.path().join("dist"));
        std::fs::write(tree.path().join("verge.toml"), "").unwrap();
        let error = Project::find(None, tree.path()).unwrap().build_dir(false).unwrap_err();
        assert!(error.to_string().contains("netlify.toml:1: "), "{error}");
    }

    #[test]
    fn link_is_written_where_the_project_is() {
        let tree = tree(&[
            ("app/package.json", r#"{"name":"app"}"#),
            ("app/dist/index.html", ""),
            ("blog/hugo.toml", ""),
            ("blog/public/index.html", ""),
            ("set/verge.toml", "spa = true"),
            ("set/web/index.html", ""),
            ("linked/verge.toml", "site = \"a\""),
            ("linked/index.html", ""),
            ("plain/index.html", ""),
            ("plain/dist/index.html", ""),
            ("repo/.git/HEAD", ""),
            ("repo/web/index.html", ""),
        ]);
        let root = tree.path().canonicalize().unwrap();
        let link = |given: Option<&str>, current: &str| {
            let project = Project::find(given.map(Path::new), &root.join(current)).unwrap();
            let named = project.named_site(None);
            let argument = || NamedSite { site: "x".parse().unwrap(), source: SiteSource::Argument };
            let dir = project.build_dir(false).unwrap().path;
            project.link(&named.unwrap_or_else(|_| argument()), &dir).map(|link| {
                let file = link.file.strip_prefix(&root).unwrap().display().to_string();
                (file, link.site.to_string(), link.dir.unwrap_or_default())
            })
        };
        let expected = |file: &str, site: &str, dir: &str| Some((file.to_owned(), site.to_owned(), dir.to_owned()));
        assert_eq!(link(None, "app"), expected("app/verge.toml", "app", "dist"));
        assert_eq!(link(Some("app/dist"), ""), expected("app/verge.toml", "app", "dist"));
        assert_eq!(link(None, "app/dist"), expected("app/verge.toml", "app", "dist"));
        assert_eq!(link(Some("blog/public"), ""), expected("blog/verge.toml", "x", "public"));
        assert_eq!(link(Some("set/web"), ""), expected("set/verge.toml", "x", "web"));
        assert_eq!(link(Some("."), "linked"), None);
        assert_eq!(link(Some("."), "plain"), expected("plain/verge.toml", "x", "."));
        assert_eq!(link(None, "plain"), expected("plain/verge.toml", "x", "dist"));
        assert_eq!(link(Some("web"), "repo"), expected("repo/verge.toml", "x", "web"));
        let elsewhere = root.join("blog/public");
        assert_eq!(link(elsewhere.to_str(), "set"), None);
        // Nothing says that the current directory is a project: other directories in it may be pushed to other sites.
        assert_eq!(link(Some("plain"), ""), None);
    }

    #[test]
    fn invalid_package_json_error_names_file_and_line() {
        let tree = tree(&[("package.json", "{\n  name: 1\n}")]);
        let error = site(&tree, None, "").unwrap_err().to_string();
        assert!(error.contains("package.json:2: "), "{error}");
    }
}
