//! A daemon's data directory, used by one process at a time.

mod error;
mod permissions;

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

pub use self::error::DataDirError;
use self::permissions::tighten;
use crate::atomic_file::{self, Durability};

/// A directory locked for exclusive use while this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    lock: File,
}

impl DataDir {
    /// Creates the directory if needed, locks it, and deletes what an earlier process left of [`Self::replace`]. The operating system releases
    /// the lock when the process ends, however it ends.
    ///
    /// Only its owner can read it and the files in it, such as keys and tokens, and a group that was given access: what an earlier version or
    /// somebody else has left open to all is taken back.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        // Tokens and sites are for the owner only.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(unusable)?;
        tighten(path)?;
        let mut options = File::options();
        let lock =
            options.write(true).create(true).truncate(true).mode(0o600).open(path.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {
                atomic_file::delete_unfinished(path).map_err(unusable)?;
                Ok(Self { path: path.to_owned(), lock })
            }
            Err(TryLockError::WouldBlock) => Err(DataDirError::InUse(path.to_owned())),
            Err(TryLockError::Error(source)) => Err(unusable(source)),
        }
    }

    /// The path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Atomically replaces the file `name` by `bytes`. Once this returns, they survive a crash; until then the file is unchanged.
    /// Blocks.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        atomic_file::write(&self.path, &self.path.join(name), bytes, Durability::WithName)
    }
}

impl Drop for DataDir {
    /// Closing the file would not do: a child of this process has it too between `fork` and `exec`, and would keep the lock until then.
    fn drop(&mut self) {
        if let Err(error) = self.lock.unlock() {
            tracing::debug!(path = %self.path.display(), %error, "failed to unlock a data directory");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_open_is_rejected_while_in_use() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        assert!(matches!(DataDir::open(&path), Err(DataDirError::InUse(taken)) if taken == first.path()));
        // As a child has it that is about to run another program.
        let _inherited = first.lock.try_clone().unwrap();
        drop(first);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn replace_overwrites_file() {
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
