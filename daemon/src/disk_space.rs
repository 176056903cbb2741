//! The space of a file system, and how much of it blobs may take.

use std::io;
use std::path::Path;

/// The reserve is at most this many bytes.
const MAX_RESERVE: u64 = 16 << 20;

/// The space of a file system at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Bytes that this process may still allocate. 0 if no file can be created.
    pub available: u64,
    /// Size of the file system, in bytes.
    pub total: u64,
    /// The unit of allocation, in bytes. Not 0.
    pub block: u64,
}

impl DiskSpace {
    /// Measures the file system that holds `path`. Cheap: it reads no disk.
    pub fn of(path: &Path) -> io::Result<Self> {
        let measured = rustix::fs::statvfs(path)?;
        let block = measured.f_frsize.max(1);
        // File systems without a limit on files report none.
        let can_create_files = measured.f_files == 0 || measured.f_favail > 0;
        let available = if can_create_files { measured.f_bavail.saturating_mul(block) } else { 0 };
        Ok(Self { available, total: measured.f_blocks.saturating_mul(block), block })
    }

    /// Bytes that small files which a daemon cannot do without may still take: all but a quarter of the reserve, for the database.
    pub fn available_for_metadata(&self) -> u64 {
        self.available.saturating_sub(self.reserve() / 4)
    }

    /// Bytes that blobs may still take. The rest is reserved for state, manifests, directories, and writes in progress.
    pub fn available_for_blobs(&self) -> u64 {
        self.available.saturating_sub(self.reserve())
    }

    fn reserve(&self) -> u64 {
        MAX_RESERVE.min(self.total / 32)
    }
}

/// The bytes that a file of `size` bytes takes in blocks of `block` bytes.
pub fn allocated(size: u64, block: u64) -> u64 {
    size.checked_next_multiple_of(block).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_of_the_data_directory_takes_from_the_space_measured() {
        let directory = tempfile::tempdir().unwrap();
        let space = DiskSpace::of(directory.path()).unwrap();
        assert!(space.available > 0 && space.available <= space.total && space.block.is_power_of_two(), "{space:?}");
        assert_eq!((allocated(0, 4096), allocated(1, 4096), allocated(4096, 4096)), (0, 4096, 4096));
    }

    #[test]
    fn reserve_is_a_part_of_small_file_systems_and_limited_on_large_ones() {
        let available = |available, total| DiskSpace { available, total, block: 4096 }.available_for_blobs();
        assert_eq!(available(32 << 20, 64 << 20), 30 << 20);
        assert_eq!(available(1 << 30, 1 << 40), (1 << 30) - (16 << 20));
        assert_eq!(available(1 << 20, 64 << 20), 0);
    }
}
