//! The folder that a daemon keeps its things in: one daemon at a time.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use crate::atomic_file::{self, Durability};

/// A folder that nobody else uses while this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// Another process, or another daemon of this one, has it.
    #[error("the data folder {} is in use by another process", .0.display())]
    InUse(PathBuf),
    /// It cannot be made or written to.
    #[error("the data folder {} cannot be used", path.display())]
    Unusable {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl DataDir {
    /// Makes the folder if need be and takes it. The operating system gives it back when the process ends, however it ends.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        // What is kept there is nobody else's to read.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        let lock = File::create(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Keeps `bytes` as the file `name`, in place of what it held. When this returns, a crash no longer loses them; until then
    /// the file is what it was. Blocks.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        atomic_file::write(&self.path, &self.path.join(name), bytes, Durability::WithName)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_daemon_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(taken)) if taken == first.path()));
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path()).unwrap();
        for bytes in ["a long state", "state"] {
            data.replace("state.json", bytes.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(folder.path().join("state.json")).unwrap(), bytes);
        }
        let mut names: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        assert_eq!(names, ["lock", "state.json"]);
    }
}
