//! How much of a release is on disk.

use verge_protocol::Digest;

use super::prefetch_status::PrefetchStatus;
use crate::store::{Object, Store};
use crate::table::{ReleaseBlobs, Resources};

/// How much of a release is on disk. Blobs for which the disk has no room are not waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Holding {
    /// All files.
    pub(super) files: u32,
    /// Bytes of all blobs.
    pub(super) bytes: u64,
    /// Files that need a blob that is neither on disk nor left out.
    pub(super) missing_files: u32,
    /// Bytes of these blobs.
    pub(super) missing_bytes: u64,
    /// Files that need a blob for which the disk has no room.
    pub(super) left_out_files: u32,
    /// Bytes of these blobs.
    pub(super) left_out_bytes: u64,
    pub(super) has_manifest: bool,
    /// Whether the origin has nothing of what is missing, so that no edge can fetch it.
    pub(super) is_absent_at_origin: bool,
    /// Why what is missing does not arrive, for a person to read.
    pub(super) problem: Option<String>,
}

impl Holding {
    /// Looks up each blob of the release in the store's index. Reads no disk.
    pub(super) fn of(release: &Resources, store: &Store, status: &PrefetchStatus) -> Self {
        let has_manifest = store.contains(Object::Manifest(release.manifest()));
        let missing = store.missing(release.blobs().as_slice());
        let is_left_out = |blob: &Digest| status.is_left_out(release.manifest(), blob);
        let is_absent = |blob: &Digest| status.absent.contains(blob);
        let missing = missing.into_iter().map(|blob| (blob.file, blob.size, blob.digest));
        let holding = Self::compute(release.blobs(), has_manifest, missing, is_left_out, is_absent);
        if holding.is_complete() {
            return holding;
        }
        let blobs = release.blobs().iter().map(|blob| &blob.digest);
        let problem = status.problem(blobs).or_else(|| store.write_failure().map(|error| unwritable(&error)));
        Self { problem, ..holding }
    }

    /// `missing` are the file, size and digest of each blob that is not on disk, in the order of the release.
    pub(super) fn compute(
        blobs: &ReleaseBlobs,
        has_manifest: bool,
        missing: impl Iterator<Item = (u32, u64, Digest)>,
        is_left_out: impl Fn(&Digest) -> bool,
        is_absent: impl Fn(&Digest) -> bool,
    ) -> Self {
        let (mut fetched, mut left_out) = (Missing::default(), Missing::default());
        let mut are_all_absent = true;
        for (file, size, digest) in missing {
            if is_left_out(&digest) {
                left_out.add(file, size);
            } else {
                fetched.add(file, size);
                are_all_absent &= is_absent(&digest);
            }
        }
        Self {
            files: blobs.files(),
            bytes: blobs.bytes(),
            missing_files: fetched.files,
            missing_bytes: fetched.bytes,
            left_out_files: left_out.files,
            left_out_bytes: left_out.bytes,
            has_manifest,
            is_absent_at_origin: has_manifest && fetched.files > 0 && are_all_absent,
            problem: None,
        }
    }

    /// Whether the manifest is on disk, and every blob for which the disk has room.
    pub(super) fn is_complete(&self) -> bool {
        self.has_manifest && self.missing_files == 0
    }

    /// Bytes of the blobs on disk.
    pub(super) fn done(&self) -> u64 {
        self.bytes.saturating_sub(self.missing_bytes).saturating_sub(self.left_out_bytes)
    }

    /// What is missing, and why if that is known.
    pub(super) fn lag_reason(&self) -> String {
        let Self { files, missing_files, .. } = self;
        let missing = if *missing_files == 0 {
            "the manifest is not on disk".to_owned()
        } else {
            let bytes = bytes_of_bytes(self.missing_bytes, self.bytes);
            format!("fetching {missing_files} of {files} files ({bytes})")
        };
        match &self.problem {
            Some(problem) => format!("{missing}: {problem}"),
            None => missing,
        }
    }

    /// Why it is not complete, or what is left out.
    pub(super) fn problem(&self) -> Option<String> {
        let Self { files, left_out_files, .. } = self;
        let left_out = (*left_out_files > 0).then(|| {
            let bytes = bytes_of_bytes(self.left_out_bytes, self.bytes);
            format!(
                "no room on disk for {left_out_files} of {files} files ({bytes}): fetched when readers ask for them"
            )
        });
        self.problem.clone().or(left_out)
    }
}

/// The problem of files that cannot be written because of `error`.
pub(super) fn unwritable(error: &str) -> String {
    format!("files cannot be written to disk: {error}")
}

#[derive(Default)]
struct Missing {
    files: u32,
    bytes: u64,
    last_file: Option<u32>,
}

impl Missing {
    /// Adds a blob. The blobs of a file follow one another.
    fn add(&mut self, file: u32, size: u64) {
        if self.last_file.replace(file) != Some(file) {
            self.files += 1;
        }
        self.bytes += size;
    }
}

/// `3.1 of 9.8 MB`: in the unit of the whole, with decimal prefixes.
fn bytes_of_bytes(part: u64, whole: u64) -> String {
    let units: [(&str, u64); 3] = [("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1000)];
    match units.into_iter().find(|(_, unit)| whole >= *unit) {
        None => format!("{part} of {whole} bytes"),
        Some((name, unit)) => {
            let tenths = |bytes: u64| {
                let tenths = (u128::from(bytes) * 10).div_ceil(u128::from(unit));
                format!("{}.{}", tenths / 10, tenths % 10)
            };
            format!("{} of {} {name}", tenths(part), tenths(whole))
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::Lifetime;

    use super::*;
    use crate::test_support::{manifest, resources};

    #[test]
    fn missing_blobs_are_counted_in_files_and_bytes_and_left_out_ones_apart() {
        let release = resources(manifest(&["a.txt", "b.txt", "c.txt"], "", Lifetime::Revalidate));
        let blobs = release.blobs();
        let holding = |missing: &[usize], left_out: &[usize]| {
            let digests: Vec<Digest> = left_out.iter().map(|index| blobs.as_slice()[*index].digest).collect();
            let missing = missing.iter().map(|index| &blobs.as_slice()[*index]);
            let missing = missing.map(|blob| (blob.file, blob.size, blob.digest));
            Holding::compute(blobs, true, missing, |digest| digests.contains(digest), |_| false)
        };
        let all = holding(&[], &[]);
        assert_eq!((all.is_complete(), all.done(), all.problem()), (true, 15, None));
        let some = holding(&[0, 2], &[]);
        assert_eq!((some.is_complete(), some.done()), (false, 5));
        assert_eq!(some.lag_reason(), "fetching 2 of 3 files (10 of 15 bytes)");
        let failing = Holding { problem: Some("the disk is gone".to_owned()), ..some };
        assert_eq!(failing.lag_reason(), "fetching 2 of 3 files (10 of 15 bytes): the disk is gone");
        let small_disk = holding(&[0, 2], &[2, 0]);
        assert_eq!((small_disk.is_complete(), small_disk.done()), (true, 5));
        assert!(small_disk.problem().unwrap().starts_with("no room on disk for 2 of 3 files (10 of 15 bytes)"));
        let unwritten = Holding { has_manifest: false, ..all };
        assert_eq!((unwritten.is_complete(), unwritten.lag_reason().as_str()), (false, "the manifest is not on disk"));
    }

    #[test]
    fn release_is_absent_at_the_origin_if_it_has_nothing_of_what_is_missing_and_has_room() {
        let release = resources(manifest(&["a.txt", "b.txt", "c.txt"], "", Lifetime::Revalidate));
        let blobs = release.blobs();
        let is_absent = |has_manifest, missing: &[usize], left_out: usize, absent: &[usize]| {
            let digest = |index: usize| blobs.as_slice()[index].digest;
            let absent: Vec<Digest> = absent.iter().map(|index| digest(*index)).collect();
            let missing = missing.iter().map(|index| &blobs.as_slice()[*index]);
            let missing = missing.map(|blob| (blob.file, blob.size, blob.digest));
            let is_left_out = |blob: &Digest| *blob == digest(left_out);
            Holding::compute(blobs, has_manifest, missing, is_left_out, |blob| absent.contains(blob))
                .is_absent_at_origin
        };
        assert!(is_absent(true, &[0, 1], 2, &[0, 1]) && is_absent(true, &[0, 2], 2, &[0]));
        assert!(!is_absent(true, &[0, 1], 2, &[0]), "one is being fetched");
        assert!(!is_absent(false, &[0], 2, &[0]), "the manifest is missing too");
        assert!(!is_absent(true, &[2], 2, &[2]) && !is_absent(true, &[], 2, &[0]), "nothing is waited for");
    }

    #[test]
    fn bytes_are_shown_in_the_unit_of_the_whole() {
        for (part, whole, shown) in [
            (3, 999, "3 of 999 bytes"),
            (1, 1000, "0.1 of 1.0 kB"),
            (3_100_000, 9_800_000, "3.1 of 9.8 MB"),
            (0, 1 << 40, "0.0 of 1099.6 GB"),
        ] {
            assert_eq!(bytes_of_bytes(part, whole), shown);
        }
    }
}
