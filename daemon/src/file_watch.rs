//! Detection of changed files.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How often files are checked for changes.
pub const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Identifies a version of a file without reading it: inode, size, and the time of the last change of contents or permissions.
/// `None`: the file does not exist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileStamp(Option<(u64, u64, i64, i64)>);

impl FileStamp {
    fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self(metadata.map(|metadata| (metadata.ino(), metadata.size(), metadata.ctime(), metadata.ctime_nsec())))
    }
}

/// Files with their stamps. Take the stamp before reading a file, so that a change during the read is detected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FileStamps {
    read: Vec<(PathBuf, FileStamp)>,
    /// The stamps of the last check, if they differed.
    last_seen: Option<Vec<FileStamp>>,
}

impl FileStamps {
    /// Adds files that are not stamped yet.
    pub fn add<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        for path in paths {
            if !self.read.iter().any(|(known, _)| known == path) {
                self.read.push((path.to_owned(), FileStamp::of(path)));
            }
        }
    }

    /// Whether any file has changed and stayed the same since the previous check. A file that is still being written is not
    /// reported yet.
    pub fn have_changed(&mut self) -> bool {
        let now: Vec<FileStamp> = self.read.iter().map(|(path, _)| FileStamp::of(path)).collect();
        if self.read.iter().map(|(_, stamp)| stamp).eq(&now) {
            self.last_seen = None;
            return false;
        }
        let is_settled = self.last_seen.as_ref() == Some(&now);
        self.last_seen = Some(now);
        is_settled
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn changed_file_is_detected() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        let mut stamps = FileStamps::default();
        stamps.add([&*one, &*other]);
        assert!(!stamps.have_changed());
        std::fs::write(&other, "").unwrap();
        assert!(!stamps.have_changed() && stamps.have_changed());
        let mut stamps = FileStamps::default();
        stamps.add([&*one]);
        std::fs::write(folder.path().join("new"), "2").unwrap();
        std::fs::rename(folder.path().join("new"), &one).unwrap();
        assert!(!stamps.have_changed() && stamps.have_changed());
    }

    /// A file that could not be read is read again once it can be.
    #[test]
    fn changed_permissions_are_detected() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mut stamps = FileStamps::default();
        stamps.add([&*file]);
        std::fs::set_permissions(&file, PermissionsExt::from_mode(0o400)).unwrap();
        assert!(!stamps.have_changed() && stamps.have_changed());
    }

    #[test]
    fn file_that_is_still_being_written_is_not_reported() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mut stamps = FileStamps::default();
        stamps.add([&*file]);
        for length in 1..5 {
            std::fs::write(&file, "x".repeat(length)).unwrap();
            assert!(!stamps.have_changed(), "{length}");
        }
        assert!(stamps.have_changed());
    }
}
