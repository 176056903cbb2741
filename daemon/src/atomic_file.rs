//! Atomic replacement of files.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

/// What is guaranteed to survive a crash once a write has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// If the name exists, the file has all its bytes. The name may be lost.
    Bytes,
    /// The name and the bytes.
    WithName,
}

/// How the names of temporary files begin.
const TEMP_PREFIX: &str = ".tmp";

/// Deletes the temporary files that a crash has left in `temp_dir`. No other process may be writing there. Blocks.
pub fn delete_unfinished(temp_dir: &Path) -> io::Result<()> {
    for entry in std::fs::read_dir(temp_dir)? {
        let entry = entry?;
        if entry.file_name().as_encoded_bytes().starts_with(TEMP_PREFIX.as_bytes()) && entry.file_type()?.is_file() {
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Writes a temporary file in `temp_dir`, flushes it, and renames it to `path`, replacing an existing file. Creates the parent
/// directory of `path` if needed; `temp_dir` must exist, in the same file system.
///
/// Readers of `path` see the old bytes or the new ones, never a part. An error leaves the old file in place; a crash may leave a
/// temporary file in `temp_dir`. The file is readable by its owner only (mode 0600). Blocks.
pub fn write(temp_dir: &Path, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = tempfile::Builder::new().prefix(TEMP_PREFIX).tempfile_in(temp_dir)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    let parent = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let file = file.into_temp_path();
    if let Err(error) = std::fs::rename(&file, path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        std::fs::create_dir_all(parent)?;
        std::fs::rename(&file, path)?;
    }
    // The temporary name no longer exists: nothing to delete on drop.
    let _ = file.keep();
    if durability == Durability::WithName {
        File::open(parent)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn write_replaces_file_and_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let (temp_dir, path) = (folder.path().join("tmp"), folder.path().join("a/b/file"));
        std::fs::create_dir(&temp_dir).unwrap();
        for bytes in ["one", "another"] {
            write(&temp_dir, &path, bytes.as_bytes(), Durability::WithName).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
        }
        assert_eq!(std::fs::read_dir(&temp_dir).unwrap().count(), 0);
    }

    #[test]
    fn unfinished_files_are_deleted_and_others_are_not() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".tmpAbC123", "state.json", ".hidden"] {
            std::fs::write(folder.path().join(name), "half").unwrap();
        }
        delete_unfinished(folder.path()).unwrap();
        let mut left: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".hidden", "state.json"]);
    }

    #[test]
    fn failed_write_keeps_old_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::create_dir(&path).unwrap();
        assert!(write(folder.path(), &path, b"bytes", Durability::Bytes).is_err());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(left, [path]);
    }
}
