//! The copies of the zones' files in the data directory, from which zones are served whose own files became invalid.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;

use verge_daemon::DataDir;
use verge_protocol::{DomainName, Timestamp};

use super::zone_copy::ZoneCopy;

/// The folder in the data directory, which contains nothing else: a file for each zone, with its name.
const FOLDER: &str = "zones";

/// One copy for each zone.
pub(super) struct ZoneCopies {
    data: Arc<DataDir>,
}

impl ZoneCopies {
    pub(super) fn new(data: Arc<DataDir>) -> Self {
        Self { data }
    }

    /// The copy of a zone. [`ErrorKind::NotFound`] if there is none; other errors name the file. Blocks.
    pub(super) fn read(&self, zone: &DomainName) -> io::Result<ZoneCopy> {
        let path = self.path(zone);
        let bytes = fs::read(&path).map_err(|error| match error.kind() {
            ErrorKind::NotFound => error,
            kind => io::Error::new(kind, format!("failed to read its copy {}: {error}", path.display())),
        })?;
        let invalid =
            |problem: &str| io::Error::new(ErrorKind::InvalidData, format!("its copy {} {problem}", path.display()));
        let copy = ZoneCopy::from_bytes(&bytes).ok_or_else(|| invalid("is corrupt"))?;
        if copy.zone == *zone { Ok(copy) } else { Err(invalid(&format!("is of zone {}", copy.zone))) }
    }

    /// Makes `copy` the copy of its zone, atomically, and durably once this returns. Writes nothing if the files are the same as
    /// those of the present copy. Returns when this version was first loaded. An error leaves the present copy in place. Blocks.
    pub(super) fn keep(&self, copy: &ZoneCopy) -> io::Result<Timestamp> {
        match self.read(&copy.zone) {
            Ok(present) if present.files == copy.files => return Ok(present.loaded),
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(zone = %copy.zone, %error, "replacing an unusable copy of the zone");
            }
            Ok(_) | Err(_) => {}
        }
        match fs::create_dir(self.folder()) {
            Ok(()) => File::open(self.data.path())?.sync_all()?,
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        self.data.replace(&format!("{FOLDER}/{}", copy.zone), &copy.to_bytes()?)?;
        Ok(copy.loaded)
    }

    /// Deletes the copies of all other zones. Failures are logged. Blocks.
    pub(super) fn retain<'a>(&self, zones: impl IntoIterator<Item = &'a DomainName>) {
        let names: BTreeSet<&OsStr> = zones.into_iter().map(|zone| OsStr::new(zone.as_str())).collect();
        let Ok(files) = fs::read_dir(self.folder()) else { return };
        for file in files.flatten().filter(|file| !names.contains(&*file.file_name())) {
            let path = file.path();
            match fs::remove_file(&path) {
                Ok(()) => {
                    tracing::info!(file = %path.display(), "deleted the copy of a zone that is no longer configured");
                }
                Err(error) => tracing::warn!(file = %path.display(), %error, "failed to delete the copy of a zone"),
            }
        }
    }

    fn folder(&self) -> PathBuf {
        self.data.path().join(FOLDER)
    }

    fn path(&self, zone: &DomainName) -> PathBuf {
        self.folder().join(zone.as_str())
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::super::zone_copy::SourceFiles;
    use super::*;

    /// A copy of a zone with one file.
    fn copy(folder: &tempfile::TempDir, zone: &str, text: &str, loaded: u64) -> ZoneCopy {
        let path = folder.path().join("zone");
        fs::write(&path, text).unwrap();
        let mut files = SourceFiles::default();
        files.read(&path).unwrap();
        ZoneCopy { zone: zone.parse().unwrap(), loaded: Timestamp(loaded), files }
    }

    fn copies(folder: &tempfile::TempDir) -> ZoneCopies {
        ZoneCopies::new(Arc::new(DataDir::open(&folder.path().join("data")).unwrap()))
    }

    #[test]
    fn copy_is_written_only_when_files_change() {
        let folder = tempfile::tempdir().unwrap();
        let copies = copies(&folder);
        let first = copy(&folder, "example.com", "one", 1);
        assert_eq!(copies.read(&first.zone).unwrap_err().kind(), ErrorKind::NotFound);
        assert_eq!(copies.keep(&first).unwrap(), Timestamp(1));
        let inode = || fs::metadata(copies.path(&first.zone)).unwrap().ino();
        let before = inode();
        assert_eq!(copies.keep(&copy(&folder, "example.com", "one", 2)).unwrap(), Timestamp(1));
        assert_eq!((inode(), copies.read(&first.zone).unwrap()), (before, first.clone()));
        let second = copy(&folder, "example.com", "two", 3);
        assert_eq!(copies.keep(&second).unwrap(), Timestamp(3));
        assert_eq!(copies.read(&first.zone).unwrap(), second);
    }

    #[test]
    fn unusable_copy_is_an_error_with_its_path_and_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let copies = copies(&folder);
        let (one, other) = (copy(&folder, "example.com", "one", 1), copy(&folder, "example.net", "one", 1));
        copies.keep(&one).unwrap();
        copies.keep(&other).unwrap();
        let path = copies.path(&one.zone);
        let corrupt = || fs::write(&path, "corrupt").unwrap();
        let of_another = || _ = fs::copy(copies.path(&other.zone), &path).unwrap();
        let is_corrupt = format!("its copy {} is corrupt", path.display());
        let is_of_another = format!("its copy {} is of zone example.net", path.display());
        for (damage, expected) in [(&corrupt as &dyn Fn(), is_corrupt), (&of_another, is_of_another)] {
            damage();
            assert_eq!(copies.read(&one.zone).unwrap_err().to_string(), expected);
            copies.keep(&one).unwrap();
            assert_eq!(copies.read(&one.zone).unwrap(), one);
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let error = copies.read(&one.zone).unwrap_err().to_string();
        assert!(error.starts_with(&format!("failed to read its copy {}: ", path.display())), "{error}");
        assert!(copies.keep(&one).is_err());
    }

    #[test]
    fn copies_of_other_zones_are_deleted() {
        let folder = tempfile::tempdir().unwrap();
        let copies = copies(&folder);
        let one = copy(&folder, "example.com", "one", 1);
        copies.retain([&one.zone]);
        for zone in ["example.com", "example.net", "a.example.com"] {
            copies.keep(&copy(&folder, zone, "one", 1)).unwrap();
        }
        copies.retain([&one.zone]);
        let left: Vec<_> = fs::read_dir(copies.folder()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(left, ["example.com"]);
    }
}
