//! Walks a directory. Symbolic links are followed if they stay inside it, and reported otherwise. Paths on the site are in Unicode
//! normalization form C, whatever form the file system keeps.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::SitePath;
use verge_protocol::nfc::nfc;

use super::ignore_file::WELL_KNOWN;
use super::problem::Problem;
use super::select::{Action, Selection, Skipped, control_file, is_control_file};

/// A file of the site.
#[derive(Debug)]
pub(super) struct ScannedFile {
    /// Its path on the site.
    pub(super) path: SitePath,
    /// Its path on disk.
    pub(super) source: PathBuf,
    /// Its size during the walk, in bytes.
    pub(super) size: u64,
}

/// The result of a walk, ordered by name.
#[derive(Debug, Default)]
pub(super) struct Walked {
    pub(super) files: Vec<ScannedFile>,
    pub(super) skipped: Vec<Skipped>,
    pub(super) problems: Vec<Problem>,
}

/// Walks `directory`.
pub(super) fn walk(dir: &Path, selection: &Selection) -> Walked {
    let mut walked = Walked::default();
    match dir.canonicalize() {
        Ok(root) => {
            let mut walk = Walk { root: &root, selection, open: Vec::new(), walked: &mut walked };
            walk.walk_dir(&root, "");
        }
        Err(source) => walked.problems.push(Problem::Unreadable { path: dir.display().to_string(), source }),
    }
    walked.files.sort_by(|a, b| a.path.cmp(&b.path));
    walked.problems.extend(same_names(&walked.files));
    walked
}

/// Files that have the same path once their names are composed.
fn same_names(files: &[ScannedFile]) -> Vec<Problem> {
    let name = |file: &ScannedFile| file.source.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let same = files.windows(2).filter(|pair| pair[0].path == pair[1].path);
    same.map(|pair| Problem::SameName { path: pair[0].path.clone(), names: [name(&pair[0]), name(&pair[1])] }).collect()
}

struct Walk<'a> {
    root: &'a Path,
    selection: &'a Selection,
    /// The directories being walked, from the root down: a link to one of them is a loop.
    open: Vec<PathBuf>,
    walked: &'a mut Walked,
}

/// An entry after following symbolic links.
struct ResolvedEntry {
    source: PathBuf,
    metadata: Metadata,
}

impl Walk<'_> {
    /// Walks the directory at `source`; `prefix` is its path on the site.
    fn walk_dir(&mut self, source: &Path, prefix: &str) {
        let mut entries = match fs::read_dir(source).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
            Ok(entries) => entries,
            Err(error) => {
                let path = if prefix.is_empty() { source.display().to_string() } else { prefix.to_owned() };
                return self.walked.problems.push(Problem::Unreadable { path, source: error });
            }
        };
        entries.sort_by_key(fs::DirEntry::file_name);
        self.open.push(source.to_owned());
        for entry in entries {
            match entry.file_name().to_str().map(nfc) {
                Some(name) if prefix.is_empty() => self.visit(&entry.path(), &name),
                Some(name) => self.visit(&entry.path(), &format!("{prefix}/{name}")),
                None => self.walked.problems.push(Problem::NotUtf8(Path::new(prefix).join(entry.file_name()))),
            }
        }
        self.open.pop();
    }

    fn visit(&mut self, source: &Path, path: &str) {
        let target = self.resolve(source, path);
        let is_dir = target.as_ref().is_ok_and(|target| target.metadata.is_dir());
        match self.selection.classify(path, is_dir) {
            Action::Include => match target {
                Ok(target) => self.include(target, path),
                Err(problem) => self.walked.problems.push(problem),
            },
            Action::Control => {
                // Its rules, or its passwords, would be neither followed nor missed.
                let meant = control_file(path).filter(|name| *name != path);
                let misspelled = |name| Problem::Misspelled { path: path.to_owned(), name };
                self.walked.problems.extend(meant.map(misspelled));
            }
            Action::Skip(reason) => {
                let path = if is_dir { format!("{path}/") } else { path.to_owned() };
                self.walked.skipped.push(Skipped { path, reason });
            }
            Action::Secret => self.walked.problems.push(Problem::EnvironmentFile(path.to_owned())),
        }
    }

    fn include(&mut self, target: ResolvedEntry, path: &str) {
        if target.metadata.is_dir() {
            if self.open.contains(&target.source) {
                self.walked.problems.push(Problem::Loop(path.to_owned()));
            } else {
                self.walk_dir(&target.source, path);
            }
        } else if target.metadata.is_file() {
            match path.parse::<SitePath>() {
                Ok(path) => {
                    let size = target.metadata.len();
                    self.walked.files.push(ScannedFile { path, source: target.source, size });
                }
                Err(reason) => self.walked.problems.push(Problem::Name { path: path.to_owned(), reason }),
            }
        } else {
            self.walked.problems.push(Problem::Special(path.to_owned()));
        }
    }

    /// Follows a symbolic link; its target must be inside the directory, not hidden, and part of the site.
    fn resolve(&self, source: &Path, path: &str) -> Result<ResolvedEntry, Problem> {
        let unreadable = |source| Problem::Unreadable { path: path.to_owned(), source };
        let metadata = fs::symlink_metadata(source).map_err(unreadable)?;
        if !metadata.is_symlink() {
            return Ok(ResolvedEntry { source: source.to_owned(), metadata });
        }
        let target = || fs::read_link(source).map_or_else(|_| "…".to_owned(), |target| target.display().to_string());
        let end = match source.canonicalize() {
            Ok(end) => end,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(Problem::Dangling { path: path.to_owned(), target: target() });
            }
            Err(error) => return Err(unreadable(error)),
        };
        let Ok(inside) = end.strip_prefix(self.root) else {
            return Err(Problem::Outside { path: path.to_owned(), target: target() });
        };
        if is_hidden(inside) {
            return Err(Problem::Hidden { path: path.to_owned(), target: inside.display().to_string() });
        }
        if inside.to_str().is_some_and(is_control_file) {
            return Err(Problem::Control { path: path.to_owned(), target: inside.display().to_string() });
        }
        let metadata = fs::metadata(&end).map_err(unreadable)?;
        Ok(ResolvedEntry { source: end, metadata })
    }
}

/// Whether `inside`, relative to the root, is hidden or below something hidden. `.assetsignore` does not matter: a file that it skips
/// must not be served under another name.
fn is_hidden(inside: &Path) -> bool {
    let inside = inside.strip_prefix(WELL_KNOWN).unwrap_or(inside);
    inside.iter().any(|name| name.as_encoded_bytes().starts_with(b"."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_below_a_hidden_name_is_hidden() {
        for path in
            [".env", "a/.env.local", ".git", ".git/config", "a/.cache/b/c.js", ".well-known/.env", "a/.well-known"]
        {
            assert!(is_hidden(Path::new(path)), "{path}");
        }
        for path in ["a.txt", "a/b.c", "environment", ".well-known", ".well-known/security.txt"] {
            assert!(!is_hidden(Path::new(path)), "{path}");
        }
    }
}
