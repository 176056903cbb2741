//! Files that are whole or not there.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::Path;

use tempfile::NamedTempFile;

/// What must outlive a crash once a write has returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The bytes, so that the name, if it is there, is not of a hole. The name may be lost.
    Bytes,
    /// The name too.
    WithName,
}

/// Writes a file in the folder `aside` and moves it to `path`, in place of what was there, when it is whole. Makes the folder
/// of `path` if need be; `aside` is there already, in the same file system.
///
/// Whoever reads `path` finds what was there before or these bytes, whatever happens in between. An error leaves what was
/// there; a crash may leave a file in `aside`. For this user's eyes only. Blocks.
pub fn write(aside: &Path, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
    let mut file = NamedTempFile::new_in(aside)?;
    file.write_all(bytes)?;
    file.as_file().sync_data()?;
    let folder = path.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let file = file.into_temp_path();
    if let Err(error) = std::fs::rename(&file, path) {
        if error.kind() != io::ErrorKind::NotFound {
            return Err(error);
        }
        std::fs::create_dir_all(folder)?;
        std::fs::rename(&file, path)?;
    }
    // It has left; there is nothing to clear away.
    let _ = file.keep();
    if durability == Durability::WithName {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_takes_the_place_of_another_and_leaves_nothing_aside() {
        let folder = tempfile::tempdir().unwrap();
        let (aside, path) = (folder.path().join("aside"), folder.path().join("a/b/file"));
        std::fs::create_dir(&aside).unwrap();
        for bytes in ["one", "another"] {
            write(&aside, &path, bytes.as_bytes(), Durability::WithName).unwrap();
            assert_eq!(std::fs::read_to_string(&path).unwrap(), bytes);
        }
        assert_eq!(std::fs::read_dir(&aside).unwrap().count(), 0);
    }

    #[test]
    fn a_failure_leaves_what_was_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        std::fs::create_dir(&path).unwrap();
        assert!(write(folder.path(), &path, b"bytes", Durability::Bytes).is_err());
        let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
        assert_eq!(left, [path]);
    }
}
