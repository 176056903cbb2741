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
pub(super) struct Stamps(Vec<(PathBuf, Stamp)>);

impl Stamps {
    /// Stamps these too, where they are not stamped yet.
    pub(super) fn add<'a>(&mut self, paths: impl IntoIterator<Item = &'a Path>) {
        for path in paths {
            if !self.0.iter().any(|(known, _)| known == path) {
                self.0.push((path.to_owned(), Stamp::of(path)));
            }
        }
    }

    /// Whether any is not what it was.
    pub(super) fn differ(&self) -> bool {
        self.0.iter().any(|(path, stamp)| *stamp != Stamp::of(path))
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
        assert!(!stamps.differ());
        std::fs::write(&other, "").unwrap();
        assert!(stamps.differ());
        let mut stamps = Stamps::default();
        stamps.add([&*one]);
        std::fs::write(folder.path().join("new"), "2").unwrap();
        std::fs::rename(folder.path().join("new"), &one).unwrap();
        assert!(stamps.differ());
    }
}
