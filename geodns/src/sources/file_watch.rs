//! Whether files are still what they were.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// What tells one state of a file from another, as far as can be told without reading it; `None`: it is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp(Option<(u64, u64, i64, i64)>);

impl Stamp {
    fn of(path: &Path) -> Self {
        let metadata = std::fs::metadata(path).ok();
        Self(metadata.map(|metadata| (metadata.ino(), metadata.size(), metadata.mtime(), metadata.mtime_nsec())))
    }
}

/// Files as they were when they were stamped: before they were read, so that a change while they are read is not missed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Stamps {
    read: Vec<(PathBuf, Stamp)>,
    /// As they were at the last look, if that was not as they were read.
    seen: Option<Vec<Stamp>>,
}

impl Stamps {
    /// Stamps these too, where they are not stamped yet.
    pub(super) fn add<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        for path in paths {
            if !self.read.iter().any(|(known, _)| known == path) {
                self.read.push((path.to_owned(), Stamp::of(path)));
            }
        }
    }

    /// Looks at the files: whether any is not what it was, and has stayed so since the last look. Who is still writing into a
    /// file is waited for.
    pub(super) fn have_changed(&mut self) -> bool {
        let now: Vec<Stamp> = self.read.iter().map(|(path, _)| Stamp::of(path)).collect();
        if self.read.iter().map(|(_, stamp)| stamp).eq(&now) {
            self.seen = None;
            return false;
        }
        let settled = self.seen.as_ref() == Some(&now);
        self.seen = Some(now);
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_seen() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one"), folder.path().join("other"));
        std::fs::write(&one, "1").unwrap();
        let mut stamps = Stamps::default();
        stamps.add([&*one, &*other]);
        assert!(!stamps.have_changed());
        std::fs::write(&other, "").unwrap();
        assert!(!stamps.have_changed() && stamps.have_changed());
        let mut stamps = Stamps::default();
        stamps.add([&*one]);
        std::fs::write(folder.path().join("new"), "2").unwrap();
        std::fs::rename(folder.path().join("new"), &one).unwrap();
        assert!(!stamps.have_changed() && stamps.have_changed());
    }

    #[test]
    fn who_still_writes_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        let mut stamps = Stamps::default();
        stamps.add([&*file]);
        for length in 1..5 {
            std::fs::write(&file, "x".repeat(length)).unwrap();
            assert!(!stamps.have_changed(), "{length}");
        }
        assert!(stamps.have_changed());
    }
}
