//! Where files lie, and how they come to lie there.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use verge_daemon::DataDir;
use verge_daemon::atomic_file::{self, Durability};
use verge_daemon::data_dir::DataDirError;
use verge_protocol::Digest;

/// Most files in quarantine: a dying disk must not fill itself with evidence.
const QUARANTINE_MOST: usize = 64;

/// Something that is named by its digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Object {
    Blob(Digest),
    Manifest(Digest),
}

impl Object {
    /// What must outlive a crash: a state that is on disk may name a manifest, and without it an edge cannot boot.
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

/// Why a data folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it, or it cannot be made.
    #[error(transparent)]
    Folder(#[from] DataDirError),
    /// Something in it cannot be read or written.
    #[error("cannot use {} in the data folder", path.display())]
    Inside {
        /// What was touched.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The data folder.
pub(super) struct Layout(DataDir);

impl Layout {
    /// Takes the folder for this process and clears what was in the making when the last one ended.
    pub(super) fn open(root: &Path) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Inside { path, source }
        };
        let layout = Self(DataDir::open(root)?);
        match std::fs::remove_dir_all(layout.temporary()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&layout.temporary())(error)),
            _ => {}
        }
        for folder in [layout.temporary(), layout.manifests(), layout.blobs(), layout.0.path().join("quarantine")] {
            std::fs::create_dir_all(&folder).map_err(failed(&folder))?;
        }
        Ok(layout)
    }

    fn temporary(&self) -> PathBuf {
        self.0.path().join("temporary")
    }

    pub(super) fn manifests(&self) -> PathBuf {
        self.0.path().join("manifests")
    }

    /// Holds one folder for each first byte of a digest.
    pub(super) fn blobs(&self) -> PathBuf {
        self.0.path().join("blobs")
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

    /// Writes a file aside and moves it to its place when it is whole. The folders of blobs are made when they are first needed.
    pub(super) fn write(&self, path: &Path, bytes: &[u8], durability: Durability) -> io::Result<()> {
        atomic_file::write(&self.temporary(), path, bytes, durability)
    }

    /// Sets a bad file aside, or drops it when enough of them lie there.
    pub(super) fn quarantine(&self, object: Object) {
        self.set_aside(&self.path(object), &object.to_string());
    }

    /// Sets `path` aside under `name`.
    pub(super) fn set_aside(&self, path: &Path, name: &str) {
        let folder = self.0.path().join("quarantine");
        let full = std::fs::read_dir(&folder).is_ok_and(|files| files.count() >= QUARANTINE_MOST);
        let moved = if full { std::fs::remove_file(path) } else { std::fs::rename(path, folder.join(name)) };
        if let Err(error) = moved {
            tracing::error!(file = %path.display(), %error, "a bad file could not be set aside");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_keeps_its_name_before_a_state_tells_it() {
        let digest = Digest::of(b"");
        assert_eq!(Object::Manifest(digest).durability(), Durability::WithName);
        assert_eq!(Object::Blob(digest).durability(), Durability::Bytes);
    }
}
