//! The layout of the data directory: paths, atomic writes, quarantine.

use std::fmt;
use std::fs::ReadDir;
use std::io;
use std::path::{Path, PathBuf};

use verge_daemon::DataDir;
use verge_daemon::atomic_file::{self, Durability};
use verge_daemon::data_dir::DataDirError;
use verge_protocol::{BLOB_MAX, Digest};

use verge_daemon::disk_space::DiskSpace;

/// Maximum number of files in quarantine, so that a failing disk does not fill up with them.
const MAX_QUARANTINED: usize = 64;
/// Maximum bytes of them, likewise.
const MAX_QUARANTINED_BYTES: u64 = 16 << 20;
/// The bytes that [`Layout::probe`] writes: those of the largest blob.
const PROBE_BYTES: usize = BLOB_MAX;

/// A file that is named by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Object {
    Blob(Digest),
    Manifest(Digest),
}

impl Object {
    /// What must survive a crash. A saved state may reference a manifest, and without it an edge cannot restart.
    pub(super) fn durability(self) -> Durability {
        match self {
            Self::Blob(_) => Durability::Bytes,
            Self::Manifest(_) => Durability::WithName,
        }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Blob(digest) => write!(formatter, "blob-{digest}"),
            Self::Manifest(id) => write!(formatter, "manifest-{id}"),
        }
    }
}

/// Why the data directory cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process uses it, or it cannot be created.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// A file or directory in it cannot be read or written.
    #[error("failed to access {} in the data directory", path.display())]
    Access {
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// The data directory, locked for this process.
pub(super) struct Layout(DataDir);

impl Layout {
    /// Locks the directory for this process and deletes the unfinished files of the last one.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Access { path, source }
        };
        let layout = Self(DataDir::open(root)?);
        for directory in [layout.temporary(), layout.manifests(), layout.blobs(), layout.0.path().join("quarantine")] {
            std::fs::create_dir_all(&directory).map_err(failed(&directory))?;
        }
        // The directory itself stays: a full disk may have no room for a new one.
        let temporary = layout.temporary();
        for file in std::fs::read_dir(&temporary).map_err(failed(&temporary))? {
            let path = file.map_err(failed(&temporary))?.path();
            std::fs::remove_file(&path).map_err(failed(&path))?;
        }
        Ok(layout)
    }

    fn temporary(&self) -> PathBuf {
        self.0.path().join("temporary")
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.0.path().join("manifests")
    }

    /// The parent of one directory for each first byte of a digest.
    pub(super) fn blobs(&self) -> PathBuf {
        self.0.path().join("blobs")
    }

    pub(super) fn releases(&self) -> PathBuf {
        self.0.path().join("releases.json")
    }

    pub(super) fn origin_contact(&self) -> PathBuf {
        self.0.path().join("origin-contact")
    }

    pub(super) fn state(&self) -> PathBuf {
        self.0.path().join("state.json")
    }

    pub(super) fn path(&self, object: Object) -> PathBuf {
        match object {
            Object::Blob(digest) => {
                let name = digest.to_string();
                self.blobs().join(&name[..2]).join(name)
            }
            Object::Manifest(id) => self.manifests().join(id.to_string()),
        }
    }

    /// Writes a file atomically. Creates the directory of a blob if necessary.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        atomic_file::write(&self.temporary(), path, bytes, durability)
    }

    /// The space of the file system; `None` if it cannot be measured.
    pub(super) fn space(&self) -> Option<DiskSpace> {
        let measured = DiskSpace::of(self.0.path());
        measured.inspect_err(|error| tracing::debug!(%error, "failed to measure the free space")).ok()
    }

    /// Writes and deletes a file as large as the largest blob.
    pub(super) fn probe(&self) -> io::Result<()> {
        let path = self.temporary().join("probe");
        // A file system may compress zeros to nothing.
        let mut bytes = vec![0; PROBE_BYTES];
        rand::fill(bytes.as_mut_slice());
        self.write(&path, &bytes, Durability::Bytes)?;
        std::fs::remove_file(path)
    }

    /// Moves a corrupt file to the quarantine, or deletes it if that is full.
    pub(super) fn quarantine(&self, object: Object) {
        let (path, quarantine) = (self.path(object), self.quarantine_directory());
        let sizes = |files: ReadDir| files.filter_map(|file| Some(file.ok()?.metadata().ok()?.len()));
        let (count, bytes) = std::fs::read_dir(&quarantine)
            .map_or((0, 0), |files| sizes(files).fold((0, 0), |(count, bytes), size| (count + 1, bytes + size)));
        let size = std::fs::metadata(&path).map_or(0, |metadata| metadata.len());
        let is_full = count >= MAX_QUARANTINED || bytes + size > MAX_QUARANTINED_BYTES;
        let moved = if is_full {
            std::fs::remove_file(&path)
        } else {
            std::fs::rename(&path, quarantine.join(object.to_string()))
        };
        if let Err(error) = moved {
            tracing::error!(%object, %error, "failed to quarantine a corrupt file");
        }
    }

    /// Copies `path` to the quarantine as `name`, replacing an earlier copy.
    pub(super) fn copy_to_quarantine(&self, path: &Path, name: &str) {
        if let Err(error) = std::fs::copy(path, self.quarantine_directory().join(name)) {
            tracing::error!(file = %path.display(), %error, "failed to copy a corrupt file to the quarantine");
        }
    }

    fn quarantine_directory(&self) -> PathBuf {
        self.0.path().join("quarantine")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn manifests_are_durable_with_their_names_and_blobs_without() {
        let digest = Digest::of(b"");
        assert_eq!(Object::Manifest(digest).durability(), Durability::WithName);
        assert_eq!(Object::Blob(digest).durability(), Durability::Bytes);
    }

    #[test]
    fn unfinished_files_of_the_last_process_are_deleted() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        std::fs::write(layout.temporary().join(".tmpAbCdEf"), "unfin").unwrap();
        drop(layout);
        let layout = Layout::open(directory.path()).unwrap();
        assert_eq!(std::fs::read_dir(layout.temporary()).unwrap().count(), 0);
        layout.probe().unwrap();
        assert_eq!(std::fs::read_dir(layout.temporary()).unwrap().count(), 0);
    }

    #[test]
    fn quarantine_is_limited_in_files_and_bytes() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        let quarantined = || std::fs::read_dir(directory.path().join("quarantine")).unwrap().count();
        let quarantine = |name: &str, size: u64| {
            let object = Object::Manifest(Digest::of(name.as_bytes()));
            let path = layout.path(object);
            std::fs::File::create(&path).unwrap().set_len(size).unwrap();
            layout.quarantine(object);
            assert!(!path.exists());
        };
        quarantine("large", MAX_QUARANTINED_BYTES - 10);
        quarantine("too large", 11);
        assert_eq!(quarantined(), 1);
        (0..MAX_QUARANTINED).for_each(|number| quarantine(&number.to_string(), 0));
        assert_eq!(quarantined(), MAX_QUARANTINED);
    }
}
