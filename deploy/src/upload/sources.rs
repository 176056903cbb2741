//! Where each blob of a build lies on disk.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use bytes::Bytes;
use verge_protocol::{Blob, Build, Digest, SitePath};

/// The files behind a build, by blob. Reading one hashes it again: what is sent is what the build says, or nothing.
#[derive(Debug)]
pub struct Sources {
    files: Vec<(SitePath, PathBuf)>,
    places: HashMap<Digest, Place>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    file: usize,
    offset: u64,
    size: u64,
}

/// Why a blob cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file holds other bytes than when it was hashed.
    #[error("{0} changed while it was pushed")]
    Changed(SitePath),
    /// The file cannot be read any more.
    #[error("{path}: cannot be read any more")]
    Unreadable {
        /// The file.
        path: SitePath,
        /// Why.
        source: io::Error,
    },
    /// No file of the build has it.
    #[error("the origin asks for blob {0}, which is no part of the build")]
    Unknown(Digest),
}

impl Sources {
    /// Notes the first place of each blob of `build`, whose files lie at `sources`.
    pub fn of(build: &Build, sources: BTreeMap<SitePath, PathBuf>) -> Self {
        let mut files = Vec::with_capacity(sources.len());
        let mut places = HashMap::new();
        for (path, source) in sources {
            let mut offset = 0;
            for piece in build.files[&path].pieces() {
                places.entry(piece.digest).or_insert(Place { file: files.len(), offset, size: piece.size });
                offset += piece.size;
            }
            files.push((path, source));
        }
        Self { files, places }
    }

    /// The bytes that `blobs` have together.
    pub fn bytes(&self, blobs: &[Digest]) -> u64 {
        blobs.iter().map(|digest| self.size(digest)).sum()
    }

    /// The bytes that all blobs of the build have together, each counted once.
    pub fn all_bytes(&self) -> u64 {
        self.places.values().map(|place| place.size).sum()
    }

    /// The bytes of one blob.
    pub fn size(&self, digest: &Digest) -> u64 {
        self.places.get(digest).map_or(0, |place| place.size)
    }

    /// The same blobs, each once, in the order in which they lie on disk.
    pub fn in_order(&self, blobs: &[Digest]) -> Result<Vec<Digest>, SourceError> {
        let place = |digest: &Digest| self.places.get(digest).copied().ok_or(SourceError::Unknown(*digest));
        let mut placed = blobs.iter().map(|digest| Ok((place(digest)?, *digest))).collect::<Result<Vec<_>, _>>()?;
        placed.sort_unstable();
        placed.dedup();
        Ok(placed.into_iter().map(|(_, digest)| digest).collect())
    }

    /// Reads a blob. Blocks.
    pub fn read(&self, digest: Digest) -> Result<Blob, SourceError> {
        let place = self.places.get(&digest).ok_or(SourceError::Unknown(digest))?;
        let (path, source) = &self.files[place.file];
        let read = || {
            let mut file = File::open(source)?;
            file.seek(SeekFrom::Start(place.offset))?;
            let mut bytes = Vec::with_capacity(usize::try_from(place.size).unwrap_or_default());
            file.take(place.size).read_to_end(&mut bytes)?;
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

    fn sources(folder: &tempfile::TempDir, files: &[(&str, &[u8])]) -> Sources {
        let mut build = Build { files: BTreeMap::new(), fallback: verge_protocol::Fallback::NotFound };
        let mut sources = BTreeMap::new();
        for (name, bytes) in files {
            let path: SitePath = name.parse().unwrap();
            std::fs::write(folder.path().join(name), bytes).unwrap();
            build.files.insert(path.clone(), Content::cut(&Bytes::copy_from_slice(bytes)).0);
            sources.insert(path, folder.path().join(name));
        }
        Sources::of(&build, sources)
    }

    #[test]
    fn every_blob_is_read_from_its_place() {
        let folder = tempfile::tempdir().unwrap();
        let mut large = vec![1; BLOB_MAX];
        large.extend_from_slice(&[2; 10]);
        let sources = sources(&folder, &[("a", b"small"), ("b", &large), ("c", b"small"), ("d", b"")]);
        let tail = Digest::of(&[2; 10]);
        for bytes in [&b"small"[..], &large[..BLOB_MAX], &large[BLOB_MAX..]] {
            assert_eq!(sources.read(Digest::of(bytes)).unwrap().bytes(), bytes);
        }
        let (small, first) = (Digest::of(b"small"), Digest::of(&large[..BLOB_MAX]));
        assert_eq!(sources.in_order(&[tail, small, first, tail]).unwrap(), [small, first, tail]);
        assert_eq!(sources.bytes(&[small, tail]), 15);
        assert_eq!(sources.all_bytes(), 5 + BLOB_MAX as u64 + 10, "`c` is `a` again");
    }

    #[test]
    fn a_file_that_changed_or_went_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let sources = sources(&folder, &[("a", b"one"), ("b", b"two"), ("c", b"three")]);
        std::fs::write(folder.path().join("a"), "on").unwrap();
        std::fs::write(folder.path().join("b"), "tow").unwrap();
        std::fs::remove_file(folder.path().join("c")).unwrap();
        let error = |bytes: &[u8]| sources.read(Digest::of(bytes)).unwrap_err().to_string();
        assert_eq!(error(b"one"), "a changed while it was pushed");
        assert_eq!(error(b"two"), "b changed while it was pushed");
        assert_eq!(error(b"three"), "c: cannot be read any more");
        assert!(matches!(sources.in_order(&[Digest::of(b"four")]), Err(SourceError::Unknown(_))));
    }
}
