//! The files that hold the blobs of a build.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use verge_protocol::{Blob, Build, Digest, SitePath};

/// The blobs of a build and where they are on disk. Each blob is verified again when it is read.
#[derive(Debug)]
pub struct Sources {
    files: Vec<(SitePath, PathBuf)>,
    locations: HashMap<Digest, BlobLocation>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct BlobLocation {
    /// An index of `files`.
    file: usize,
    offset: u64,
    size: u64,
}

/// Why a blob cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file has changed since it was hashed.
    #[error("{0} was changed during the push")]
    Changed(SitePath),
    /// The file can no longer be read.
    #[error("failed to read {path} again")]
    Unreadable {
        /// The file.
        path: SitePath,
        /// Why.
        source: io::Error,
    },
    /// The blob is not part of the build.
    #[error("the origin requested blob {0}, which is not part of the build")]
    Unknown(Digest),
}

impl Sources {
    /// The blobs of `build`; `paths` are its files on disk.
    pub fn new(build: &Build, paths: BTreeMap<SitePath, PathBuf>) -> Self {
        let mut files = Vec::with_capacity(paths.len());
        let mut locations = HashMap::new();
        for (path, source) in paths {
            let mut offset = 0;
            for piece in build.files[&path].slices() {
                locations.entry(piece.digest).or_insert(BlobLocation { file: files.len(), offset, size: piece.size });
                offset += piece.size;
            }
            files.push((path, source));
        }
        Self { files, locations }
    }

    /// The total size of `blobs`, in bytes.
    pub fn bytes(&self, blobs: &[Digest]) -> u64 {
        blobs.iter().map(|digest| self.size(digest)).sum()
    }

    /// The total size of all blobs, each counted once, in bytes.
    pub fn total_bytes(&self) -> u64 {
        self.locations.values().map(|location| location.size).sum()
    }

    /// The size of a blob, in bytes.
    pub fn size(&self, digest: &Digest) -> u64 {
        self.locations.get(digest).map_or(0, |location| location.size)
    }

    /// `blobs` without duplicates, in the order of files and offsets.
    pub fn sorted(&self, blobs: &[Digest]) -> Result<Vec<Digest>, SourceError> {
        let location = |digest: &Digest| self.locations.get(digest).copied().ok_or(SourceError::Unknown(*digest));
        let mut located = blobs.iter().map(|digest| Ok((location(digest)?, *digest))).collect::<Result<Vec<_>, _>>()?;
        located.sort_unstable();
        located.dedup();
        Ok(located.into_iter().map(|(_, digest)| digest).collect())
    }

    /// Reads and verifies a blob. Blocks.
    pub fn read(&self, digest: Digest) -> Result<Blob, SourceError> {
        let location = self.locations.get(&digest).ok_or(SourceError::Unknown(digest))?;
        let (path, source) = &self.files[location.file];
        let read = || {
            let mut file = File::open(source)?;
            file.seek(SeekFrom::Start(location.offset))?;
            let mut bytes = Vec::with_capacity(usize::try_from(location.size).unwrap_or_default());
            file.take(location.size).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        let bytes = read().map_err(|source| SourceError::Unreadable { path: path.clone(), source })?;
        Blob::verify(digest, Bytes::from(bytes)).map_err(|_| SourceError::Changed(path.clone()))
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::{BLOB_MAX, Content};

    use super::*;

    fn sources(dir: &tempfile::TempDir, files: &[(&str, &[u8])]) -> Sources {
        let mut build = Build {
            files: BTreeMap::new(),
            fallback: verge_protocol::Fallback::NotFound,
            legacy_service_workers: Vec::new(),
            html: verge_protocol::HtmlPaths::Auto,
            rules: verge_protocol::Rules::default(),
        };
        let mut paths = BTreeMap::new();
        for (name, bytes) in files {
            let path: SitePath = name.parse().unwrap();
            std::fs::write(dir.path().join(name), bytes).unwrap();
            build.files.insert(path.clone(), Content::cut(&Bytes::copy_from_slice(bytes)).0);
            paths.insert(path, dir.path().join(name));
        }
        Sources::new(&build, paths)
    }

    #[test]
    fn each_blob_is_read_from_its_location() {
        let dir = tempfile::tempdir().unwrap();
        let mut large = vec![1; BLOB_MAX];
        large.extend_from_slice(&[2; 10]);
        let sources = sources(&dir, &[("a", b"small"), ("b", &large), ("c", b"small"), ("d", b"")]);
        let tail = Digest::of(&[2; 10]);
        for bytes in [&b"small"[..], &large[..BLOB_MAX], &large[BLOB_MAX..]] {
            assert_eq!(sources.read(Digest::of(bytes)).unwrap().bytes(), bytes);
        }
        let (small, first) = (Digest::of(b"small"), Digest::of(&large[..BLOB_MAX]));
        assert_eq!(sources.sorted(&[tail, small, first, tail]).unwrap(), [small, first, tail]);
        assert_eq!(sources.bytes(&[small, tail]), 15);
        assert_eq!(sources.total_bytes(), 5 + BLOB_MAX as u64 + 10, "`c` is `a` again");
    }

    #[test]
    fn changed_or_missing_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let sources = sources(&dir, &[("a", b"one"), ("b", b"two"), ("c", b"three")]);
        std::fs::write(dir.path().join("a"), "on").unwrap();
        std::fs::write(dir.path().join("b"), "tow").unwrap();
        std::fs::remove_file(dir.path().join("c")).unwrap();
        let error = |bytes: &[u8]| sources.read(Digest::of(bytes)).unwrap_err().to_string();
        assert_eq!(error(b"one"), "a was changed during the push");
        assert_eq!(error(b"two"), "b was changed during the push");
        assert_eq!(error(b"three"), "failed to read c again");
        assert!(matches!(sources.sorted(&[Digest::of(b"four")]), Err(SourceError::Unknown(_))));
    }
}
