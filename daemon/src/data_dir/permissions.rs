//! Permissions of a data directory and of the files in it.

use std::fs::{DirEntry, Metadata, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use super::error::DataDirError;

/// Files by which the directory of a daemon is known: its own, and those that are put there for it.
const MARKS: [&str; 8] =
    ["lock", "edge.key", "origin.db", "state.json", "master.key", "admin-token", "edge.token", "ns.token"];

/// What an empty file system may have.
const LOST_FOUND: &str = "lost+found";

/// Takes away what others may do with a directory and the files directly in it, and what a group may do with them where others may do
/// anything: that is how an umask leaves them. Where only a group may, somebody gave it that, be it a backup or the platform that runs the daemon.
pub(super) fn tighten(directory: &Path) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable { path: directory.to_owned(), source };
    let mode = mode(&std::fs::metadata(directory).map_err(unusable)?);
    let entries = std::fs::read_dir(directory).and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(unusable)?;
    let was_open = is_open(mode);
    if was_open {
        if !is_of_daemon(&entries) {
            return Err(DataDirError::Foreign { path: directory.to_owned(), mode });
        }
        close(directory, mode)?;
    }
    for entry in entries {
        match tighten_file(&entry) {
            // In a directory that was closed nobody could read it: the mode of a new database is left to the umask.
            Ok(Some(mode)) if was_open => {
                let (was, now) = (format!("{mode:o}"), format!("{:o}", closed(mode)));
                tracing::warn!(path = %entry.path().display(), was, now, "a file of the data directory was open to other users");
            }
            Ok(_) => {}
            // The directory protects it.
            Err(error) => tracing::warn!(path = %entry.path().display(), %error, "failed to set permissions"),
        }
    }
    Ok(())
}

fn close(directory: &Path, mode: u32) -> Result<(), DataDirError> {
    let open = |source| DataDirError::Open { path: directory.to_owned(), mode, source };
    std::fs::set_permissions(directory, Permissions::from_mode(closed(mode))).map_err(open)?;
    let (was, now) = (format!("{mode:o}"), format!("{:o}", closed(mode)));
    tracing::warn!(path = %directory.display(), was, now, "the data directory was open to other users of this machine");
    Ok(())
}

/// The permissions that a file had, if they were open. Links are not followed.
fn tighten_file(entry: &DirEntry) -> io::Result<Option<u32>> {
    let metadata = match entry.metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        metadata => metadata?,
    };
    let mode = mode(&metadata);
    if !metadata.is_file() || !is_open(mode) {
        return Ok(None);
    }
    std::fs::set_permissions(entry.path(), Permissions::from_mode(closed(mode)))?;
    Ok(Some(mode))
}

/// Whether nothing of another kind would lose its readers: system directories are not closed by a mistyped setting.
fn is_of_daemon(entries: &[DirEntry]) -> bool {
    // Files only: `/var/lock` is a link, `/run/lock` a directory.
    let is_file = |entry: &DirEntry| entry.file_type().is_ok_and(|kind| kind.is_file());
    let has_mark = entries.iter().any(|entry| MARKS.iter().any(|mark| entry.file_name() == *mark) && is_file(entry));
    has_mark || entries.iter().all(|entry| entry.file_name() == LOST_FOUND)
}

fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

fn is_open(mode: u32) -> bool {
    mode & 0o007 != 0
}

/// What is left of permissions that are open.
fn closed(mode: u32) -> u32 {
    mode & !0o077
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data_dir::DataDir;

    fn set(path: &Path, mode: u32) {
        std::fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    fn mode_of(path: &Path) -> u32 {
        mode(&std::fs::symlink_metadata(path).unwrap())
    }

    #[test]
    fn open_directory_of_a_daemon_and_its_files_are_tightened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        drop(DataDir::open(&path).unwrap());
        assert_eq!(mode_of(&path), 0o700);
        let (key, outside) = (path.join("master.key"), folder.path().join("outside"));
        std::fs::write(&key, "key").unwrap();
        std::fs::write(&outside, "text").unwrap();
        std::os::unix::fs::symlink(&outside, path.join("link")).unwrap();
        for (path, mode) in [(&path, 0o755), (&key, 0o644), (&outside, 0o644)] {
            set(path, mode);
        }
        drop(DataDir::open(&path).unwrap());
        assert_eq!((mode_of(&path), mode_of(&key), mode_of(&outside)), (0o700, 0o600, 0o644));
        // Not only when others can read it.
        set(&path, 0o701);
        drop(DataDir::open(&path).unwrap());
        assert_eq!(mode_of(&path), 0o700);
        // A group was given what it has.
        set(&path, 0o2770);
        drop(DataDir::open(&path).unwrap());
        assert_eq!(mode_of(&path), 0o2770);
    }

    #[test]
    fn empty_directory_that_is_open_is_tightened_and_one_of_something_else_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::create_dir(&path).unwrap();
        set(&path, 0o755);
        std::fs::create_dir(path.join(LOST_FOUND)).unwrap();
        drop(DataDir::open(&path).unwrap());
        assert_eq!(mode_of(&path), 0o700);

        let other = folder.path().join("www");
        std::fs::create_dir(&other).unwrap();
        std::fs::write(other.join("index.html"), "page").unwrap();
        // As in `/run`.
        std::fs::create_dir(other.join("lock")).unwrap();
        set(&other, 0o755);
        let error = DataDir::open(&other).unwrap_err().to_string();
        assert!(error.contains("mode 755") && error.contains("`chmod o-rwx`"), "{error}");
        assert_eq!(mode_of(&other), 0o755);
        std::fs::remove_dir(other.join("lock")).unwrap();
        set(&other, 0o700);
        DataDir::open(&other).unwrap();
    }

    /// The kernel changes no permissions of its own directories, not even for root.
    #[test]
    fn directory_whose_permissions_cannot_be_changed_is_refused() {
        let error = close(Path::new("/proc/self"), 0o555).unwrap_err();
        assert!(matches!(error, DataDirError::Open { .. }), "{error:?}");
        assert!(error.to_string().contains("mode 555") && error.to_string().contains("`chown`"), "{error}");
    }
}
