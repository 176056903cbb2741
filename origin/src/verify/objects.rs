//! The files in `objects`: blobs, descriptions of builds, quarantine, and what processes left behind.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use verge_protocol::{BLOB_MAX, BuildId, Digest, SiteName, Timestamp, compression};

use super::parallel;
use super::progress::Progress;

/// The largest description of a build that the API takes.
const DESCRIPTION_MAX: usize = 192 << 20;

/// An unfinished file that was not written to for so long belongs to no upload.
const UNFINISHED_AGE: Duration = Duration::from_hours(1);

/// What was found under the name of a blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BlobStatus {
    /// Bytes that match the digest, and their number.
    Sound(u32),
    Missing,
    Corrupt,
    /// The operating system's error code.
    Unreadable(i32),
}

impl BlobStatus {
    pub(super) fn is_sound(self) -> bool {
        matches!(self, Self::Sound(_))
    }
}

/// A number of files and their bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Volume {
    pub(super) files: u64,
    pub(super) bytes: u64,
}

impl Volume {
    fn add(&mut self, bytes: u64) {
        self.files += 1;
        self.bytes += bytes;
    }
}

/// A file that is not what its name says, by its path in the directory.
pub(super) struct OddFile {
    pub(super) path: PathBuf,
    pub(super) problem: String,
    /// Whether it is the description of a build.
    pub(super) is_build: bool,
}

/// Every object, read once.
#[derive(Default)]
pub(super) struct Objects {
    directory: PathBuf,
    blobs: HashMap<Digest, BlobStatus>,
    read_again: Mutex<HashMap<Digest, BlobStatus>>,
    pub(super) read: Volume,
    pub(super) quarantine: Volume,
    pub(super) unfinished: Volume,
    pub(super) unfinished_paths: Vec<PathBuf>,
    pub(super) odd: Vec<OddFile>,
}

impl Objects {
    /// Reads every object in `directory`. Unfinished files of uploads in progress at `now` are left out; if `is_stopped`, the origin
    /// does not run, and there are none.
    pub(super) fn read(directory: &Path, now: Timestamp, is_stopped: bool) -> io::Result<Self> {
        let directories = directories(directory)?;
        let progress = Progress::new("objects read");
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.0);
        let written_before = (!is_stopped).then(|| now.checked_sub(UNFINISHED_AGE)).flatten();
        let all = Mutex::new((Self { directory: directory.to_owned(), ..Self::default() }, None));
        parallel::for_each(&directories, |path| {
            let mut part = Self { directory: directory.to_owned(), ..Self::default() };
            let read = part.read_directory(path, written_before, &progress);
            let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
            all.0.merge(part);
            if let Err(error) = read {
                all.1 = Some(io::Error::new(error.kind(), format!("{}: {error}", path.display())));
            }
        });
        let (all, error) = all.into_inner().unwrap_or_else(PoisonError::into_inner);
        error.map_or(Ok(all), Err)
    }

    fn merge(&mut self, part: Self) {
        self.blobs.extend(part.blobs);
        self.odd.extend(part.odd);
        self.unfinished_paths.extend(part.unfinished_paths);
        for (sum, part) in [
            (&mut self.read, part.read),
            (&mut self.quarantine, part.quarantine),
            (&mut self.unfinished, part.unfinished),
        ] {
            sum.files += part.files;
            sum.bytes += part.bytes;
        }
    }

    fn read_directory(
        &mut self,
        directory: &Path,
        written_before: Option<SystemTime>,
        progress: &Progress,
    ) -> io::Result<()> {
        let mut buffer = Vec::with_capacity(BLOB_MAX + 1);
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let path = entry.path();
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_dir() {
                continue;
            }
            let name = entry.file_name();
            if name.as_encoded_bytes().contains(&b'#') {
                if written_before.is_none_or(|time| metadata.modified().is_ok_and(|modified| modified < time)) {
                    self.unfinished.add(metadata.len());
                    self.unfinished_paths.push(path);
                }
                continue;
            }
            let inside = path.strip_prefix(&self.directory).unwrap_or(&path).to_owned();
            match kind(&inside) {
                Kind::Blob(digest) => {
                    let status = read_blob(&path, digest, &mut buffer);
                    self.read.add(buffer.len() as u64);
                    self.blobs.insert(digest, status);
                }
                Kind::Build(id) => {
                    self.read.add(metadata.len());
                    if let Some(problem) = check_build(&path, &id) {
                        self.odd.push(OddFile { path: inside, problem, is_build: true });
                    }
                }
                Kind::Quarantined => self.quarantine.add(metadata.len()),
                Kind::Other => {
                    let problem = "not a file that an origin writes".to_owned();
                    self.odd.push(OddFile { path: inside, problem, is_build: false });
                }
            }
            progress.step();
        }
        Ok(())
    }

    /// A blob as it was read, or, if it was not sound then, as it is now.
    pub(super) fn blob(&self, digest: Digest) -> BlobStatus {
        if let Some(status @ BlobStatus::Sound(_)) = self.blobs.get(&digest) {
            return *status;
        }
        let known = self.read_again.lock().unwrap_or_else(PoisonError::into_inner).get(&digest).copied();
        known.unwrap_or_else(|| {
            let status = self.read_again(digest);
            self.read_again.lock().unwrap_or_else(PoisonError::into_inner).insert(digest, status);
            status
        })
    }

    /// A blob as it is now.
    pub(super) fn read_again(&self, digest: Digest) -> BlobStatus {
        read_blob(&self.blob_file(digest), digest, &mut Vec::new())
    }

    /// The bytes of a blob if they are sound.
    pub(super) fn bytes(&self, digest: Digest) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        read_blob(&self.blob_file(digest), digest, &mut bytes).is_sound().then_some(bytes)
    }

    /// The blobs that are there but were not sound when they were read.
    pub(super) fn not_sound(&self) -> impl Iterator<Item = Digest> + '_ {
        self.blobs.iter().filter(|(_, status)| !status.is_sound()).map(|(digest, _)| *digest)
    }

    /// The path of a blob.
    pub(super) fn blob_file(&self, digest: Digest) -> PathBuf {
        let name = digest.to_string();
        self.directory.join("blobs").join(&name[..2]).join(name)
    }
}

/// `directory` and those in it, two levels deep.
fn directories(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = vec![directory.to_owned()];
    let mut level = all.clone();
    for _ in 0..2 {
        let mut inner = Vec::new();
        for parent in &level {
            for entry in fs::read_dir(parent)? {
                let entry = entry?;
                if entry.file_type()?.is_dir() {
                    inner.push(entry.path());
                }
            }
        }
        all.extend(inner.iter().cloned());
        level = inner;
    }
    Ok(all)
}

enum Kind {
    Blob(Digest),
    Build(BuildId),
    Quarantined,
    Other,
}

fn kind(path: &Path) -> Kind {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    match parts.as_deref() {
        Some(["blobs", prefix, name]) => match name.parse() {
            Ok(digest) if name.starts_with(prefix) && prefix.len() == 2 => Kind::Blob(digest),
            _ => Kind::Other,
        },
        Some(["builds", site, id]) => match (site.parse::<SiteName>(), id.parse()) {
            (Ok(_), Ok(id)) => Kind::Build(id),
            _ => Kind::Other,
        },
        Some(["quarantine", _]) => Kind::Quarantined,
        _ => Kind::Other,
    }
}

/// Reads a blob into `buffer`.
fn read_blob(file: &Path, digest: Digest, buffer: &mut Vec<u8>) -> BlobStatus {
    buffer.clear();
    let read = File::open(file).and_then(|file| file.take(BLOB_MAX as u64 + 1).read_to_end(buffer));
    match read {
        Ok(size) if size <= BLOB_MAX && Digest::of(buffer) == digest => {
            BlobStatus::Sound(u32::try_from(size).expect("a blob is at most 256 KiB"))
        }
        Ok(_) => BlobStatus::Corrupt,
        Err(error) if error.kind() == io::ErrorKind::NotFound => BlobStatus::Missing,
        Err(error) => BlobStatus::Unreadable(error.raw_os_error().unwrap_or_default()),
    }
}

/// Why a file is not the description of this build; `None` also if it is gone.
fn check_build(file: &Path, id: &BuildId) -> Option<String> {
    let compressed = match fs::read(file) {
        Ok(bytes) => bytes,
        Err(error) => return (error.kind() != io::ErrorKind::NotFound).then(|| format!("cannot be read: {error}")),
    };
    match compression::decompress(&compressed, DESCRIPTION_MAX) {
        Ok(description) if Digest::of(&description).to_string().starts_with(id.as_str()) => None,
        Ok(_) | Err(_) => Some("corrupt on disk".to_owned()),
    }
}
