//! Links a project to its site: writes both and the directory into `verge.toml`.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use verge_protocol::SiteName;

use super::settings::Settings;

/// The name of a schema beside `verge.toml`, as `verge schema` prints it.
const SCHEMA_FILE: &str = "verge.schema.json";

/// What is written, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The `verge.toml`, new or with settings.
    pub file: PathBuf,
    /// The site.
    pub site: SiteName,
    /// The directory to push, relative to the file; `None`: it is not in the file's directory, or set already.
    pub dir: Option<String>,
}

/// Why a project cannot be linked.
#[derive(Debug, thiserror::Error)]
#[error("failed to write `{}`", path.display())]
pub struct LinkError {
    path: PathBuf,
    source: io::Error,
}

/// The lines that are written.
impl fmt::Display for Link {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "`site = {}`", quoted(self.site.as_str()))?;
        self.dir.iter().try_for_each(|dir| write!(formatter, " and `dir = {}`", quoted(dir)))
    }
}

impl Link {
    /// Writes the file. All that an existing one has stays, comments too; if that cannot be done, nothing is written.
    pub fn write(&self) -> Result<(), LinkError> {
        let write = || match fs::read_to_string(&self.file) {
            Ok(text) => self.replace(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.create(),
            Err(error) => Err(error),
        };
        write().map_err(|source| LinkError { path: self.file.clone(), source })
    }

    fn create(&self) -> io::Result<()> {
        let schema = if self.file.with_file_name(SCHEMA_FILE).is_file() {
            format!("#:schema ./{SCHEMA_FILE}\n")
        } else {
            "# Commit this file: it links the project to its site. `verge schema` describes every setting.\n".to_owned()
        };
        let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&self.file)?;
        let text = format!("{schema}{}", self.lines("\n"));
        let written = file.write_all(text.as_bytes());
        if written.is_err() {
            // Half a file would fail the next push.
            let _ = fs::remove_file(&self.file);
        }
        written
    }

    /// Replaces the file as a whole, so that a full disk cannot truncate it. A link to it stays one.
    fn replace(&self, text: &str) -> io::Result<()> {
        let path = self.file.canonicalize()?;
        let dir = path.parent().ok_or_else(|| io::Error::other("it has no directory"))?;
        let mut file = tempfile::NamedTempFile::new_in(dir)?;
        file.write_all(self.inserted_into(text)?.as_bytes())?;
        file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(&path)?;
        Ok(())
    }

    /// `text` with the link, if it then has the same settings and the link.
    fn inserted_into(&self, text: &str) -> io::Result<String> {
        let invalid = |error| io::Error::new(io::ErrorKind::InvalidData, error);
        let at = insertion_point(text).map_err(invalid)?;
        let end_of_line = if text.contains("\r\n") { "\r\n" } else { "\n" };
        let (before, after) = text.split_at(at);
        let gap = if before.is_empty() || before.ends_with('\n') { "" } else { end_of_line };
        let linked = format!("{before}{gap}{}{after}", self.lines(end_of_line));
        let parse = |text: &str| Settings::parse(&self.file, text).map_err(|error| invalid(error.to_string()));
        let (mut expected, actual) = (parse(text)?, parse(&linked)?);
        expected.site = Some(self.site.clone());
        if let Some(dir) = &self.dir {
            expected.dir = self.file.parent().map(|of_file| of_file.join(dir));
        }
        if actual == expected { Ok(linked) } else { Err(invalid("it has a form that cannot be extended".to_owned())) }
    }

    fn lines(&self, end_of_line: &str) -> String {
        let dir = self.dir.as_ref().map(|dir| format!("dir = {}{end_of_line}", quoted(dir))).unwrap_or_default();
        format!("site = {}{end_of_line}{dir}", quoted(self.site.as_str()))
    }
}

/// Where keys may be added: after the last one that is in no table, else before the first table and the comment above it, else at the end.
fn insertion_point(text: &str) -> Result<usize, String> {
    let root = DeTable::parse(text).map_err(|error| error.message().to_owned())?;
    let is_table = |value: &DeValue<'_>| match value {
        DeValue::Table(_) => true,
        DeValue::Array(items) => items.iter().any(|item| matches!(item.get_ref(), DeValue::Table(_))),
        _ => false,
    };
    let entries = || root.get_ref().iter();
    let keys = entries().filter(|(_, value)| !is_table(value.get_ref()));
    if let Some(end) = keys.map(|(_, value)| value.span().end).max() {
        return Ok(text[end..].find('\n').map_or(text.len(), |line| end + line + 1));
    }
    let Some(start) = entries().map(|(key, _)| key.span().start).min() else { return Ok(text.len()) };
    let mut start = text[..start].rfind('\n').map_or(0, |line| line + 1);
    while start > 0 {
        let line = text[..start - 1].rfind('\n').map_or(0, |line| line + 1);
        if !text[line..start].trim_start().starts_with('#') || text[line..].starts_with("#:") {
            break;
        }
        start = line;
    }
    Ok(start)
}

/// A TOML string.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// `dir` relative to `root`, with slashes; `None` if it is not inside.
pub(super) fn relative_dir(root: &Path, dir: &Path) -> Option<String> {
    let (root, dir) = (root.canonicalize().ok()?, dir.canonicalize().ok()?);
    let names: Option<Vec<&str>> = dir.strip_prefix(root).ok()?.iter().map(|name| name.to_str()).collect();
    let relative = names?.join("/");
    Some(if relative.is_empty() { ".".to_owned() } else { relative })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(dir: &Path) -> Link {
        Link { file: dir.join("verge.toml"), site: "shop".parse().unwrap(), dir: Some("dist".to_owned()) }
    }

    #[test]
    fn settings_and_comments_of_an_existing_file_stay() {
        for (before, after) in [
            ("", "site = \"shop\"\ndir = \"dist\"\n"),
            ("# all\n", "# all\nsite = \"shop\"\ndir = \"dist\"\n"),
            ("# all", "# all\nsite = \"shop\"\ndir = \"dist\"\n"),
            ("spa = true # app\n# end\n", "spa = true # app\nsite = \"shop\"\ndir = \"dist\"\n# end\n"),
            ("spa = true", "spa = true\nsite = \"shop\"\ndir = \"dist\"\n"),
            ("spa = true\r\n", "spa = true\r\nsite = \"shop\"\r\ndir = \"dist\"\r\n"),
            (
                "legacy_service_workers = [\n  \"/a.js\", # [old]\n]\n\n[preview]\nexpires = \"2d\"\n",
                "legacy_service_workers = [\n  \"/a.js\", # [old]\n]\nsite = \"shop\"\ndir = \"dist\"\n\n[preview]\nexpires = \"2d\"\n",
            ),
            (
                "#:schema ./verge.schema.json\n# of previews\n[preview]\nexpires = \"2d\"\n",
                "#:schema ./verge.schema.json\nsite = \"shop\"\ndir = \"dist\"\n# of previews\n[preview]\nexpires = \"2d\"\n",
            ),
            ("preview.expires = \"2d\"\n", "site = \"shop\"\ndir = \"dist\"\npreview.expires = \"2d\"\n"),
        ] {
            assert_eq!(link(Path::new("")).inserted_into(before).unwrap(), after, "{before:?}");
        }
    }

    #[test]
    fn file_that_cannot_be_extended_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let link = link(dir.path());
        for text in ["spaa = true\n", "spa = \n", "site = \"other\"\n"] {
            fs::write(&link.file, text).unwrap();
            link.write().unwrap_err();
            assert_eq!(fs::read_to_string(&link.file).unwrap(), text);
        }
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file remains");
    }

    #[test]
    fn new_file_is_valid_and_refers_to_a_schema_that_exists() {
        let dir = tempfile::tempdir().unwrap();
        let link = link(dir.path());
        link.write().unwrap();
        insta::assert_snapshot!(fs::read_to_string(&link.file).unwrap());
        let settings = Settings::parse(&link.file, &fs::read_to_string(&link.file).unwrap()).unwrap();
        assert_eq!((settings.site.unwrap().as_str(), settings.dir.unwrap()), ("shop", dir.path().join("dist")));
        fs::remove_file(&link.file).unwrap();
        fs::write(dir.path().join(SCHEMA_FILE), "{}").unwrap();
        link.write().unwrap();
        assert!(fs::read_to_string(&link.file).unwrap().starts_with("#:schema ./verge.schema.json\nsite = "));
    }

    #[cfg(unix)]
    #[test]
    fn permissions_and_links_of_an_existing_file_stay() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};

        let dir = tempfile::tempdir().unwrap();
        let (link, real) = (link(dir.path()), dir.path().join("real.toml"));
        fs::write(&real, "spa = true\n").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("real.toml", &link.file).unwrap();
        link.write().unwrap();
        assert!(fs::symlink_metadata(&link.file).unwrap().is_symlink());
        assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    }

    #[test]
    fn directory_is_relative_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b \"c\"")).unwrap();
        let relative = |dir_inside: &str| relative_dir(&dir.path().join("a"), &dir.path().join(dir_inside));
        assert_eq!(relative("a/b \"c\"").as_deref(), Some("b \"c\""));
        assert_eq!((relative("a").as_deref(), relative("."), relative("no")), (Some("."), None, None));
        assert_eq!(
            Link { dir: relative("a/b \"c\""), ..link(Path::new("")) }.to_string(),
            "`site = \"shop\"` and `dir = 'b \"c\"'`"
        );
    }
}
