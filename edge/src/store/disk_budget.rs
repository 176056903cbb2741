//! How many bytes blobs and manifests may use: the configured budget, or less where the file system has less to offer.

use verge_daemon::disk_space::{DiskSpace, allocated};

/// The limits in numbers. All sizes are in bytes and in whole blocks of the file system.
#[derive(Debug, Clone, Copy)]
pub(super) struct DiskBudget {
    /// The limit that the operator has set.
    pub(super) configured: u64,
    /// The file system's unit of allocation.
    pub(super) block: u64,
}

/// Bytes on disk, from which the room for a blob is subtracted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Room {
    bytes: u64,
    block: u64,
}

impl DiskBudget {
    /// The bytes that a file of `size` bytes takes.
    pub(super) fn allocated(&self, size: u64) -> u64 {
        allocated(size, self.block)
    }

    /// The bytes that a write of `size` bytes may take: the file, a block of its directory, and one of the parent.
    pub(super) fn allocated_by_write(&self, size: u64) -> u64 {
        self.allocated(size).saturating_add(2 * self.block)
    }

    /// How many bytes must be evicted to stay within the configured budget. `used` includes the writes in progress.
    pub(super) fn excess(&self, used: u64) -> u64 {
        used.saturating_sub(self.configured)
    }

    /// How many bytes must be evicted before a blob that takes `needed` bytes, included in `used`, can be written: what exceeds the
    /// configured budget, or what the file system lacks for this blob. The reserve is not taken, but not restored
    /// either: a file system that other programs fill does not cost the blobs that are stored already.
    pub(super) fn shortfall(&self, used: u64, needed: u64, space: Option<DiskSpace>) -> u64 {
        let lacking = space.map_or(0, |space| needed.saturating_sub(space.available_for_blobs()));
        self.excess(used).max(lacking)
    }

    /// What an eviction may free beyond what is needed, see [`victims`](super::eviction::victims).
    pub(super) fn slack(&self, used: u64) -> u64 {
        self.configured.min(used) / 32
    }

    /// How many bytes all blobs may take beside `pinned` bytes of manifests, if every other file were evicted. Writing and evicting
    /// blobs does not change it.
    pub(super) fn room_for_blobs(&self, used: u64, pinned: u64, space: Option<DiskSpace>) -> Room {
        let offered = space.map_or(u64::MAX, |space| used.saturating_add(space.available_for_blobs()));
        Room { bytes: self.configured.min(offered).saturating_sub(pinned), block: self.block }
    }
}

impl Room {
    /// So many bytes, on a file system without blocks.
    pub(crate) fn of(bytes: u64) -> Self {
        Self { bytes, block: 1 }
    }

    /// Takes the room of a blob of `size` bytes; the error is how many bytes it lacks.
    pub(crate) fn take(&mut self, size: u64) -> Result<(), u64> {
        let needed = allocated(size, self.block);
        self.bytes = self.bytes.checked_sub(needed).ok_or_else(|| needed - self.bytes)?;
        Ok(())
    }

    /// Takes the room of a blob that is stored already, even if that is more than there is.
    pub(crate) fn take_stored(&mut self, size: u64) {
        self.bytes = self.bytes.saturating_sub(allocated(size, self.block));
    }

    /// The room with `bytes` more.
    #[must_use]
    pub(crate) fn grown_by(self, bytes: u64) -> Self {
        Self { bytes: self.bytes.saturating_add(bytes), ..self }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    fn budget(configured: u64) -> DiskBudget {
        DiskBudget { configured, block: 4096 }
    }

    /// A file system of 64 MiB, whose reserve is 2 MiB.
    fn space(available: u64) -> DiskSpace {
        DiskSpace { available, total: 64 * MIB, block: 4096 }
    }

    #[test]
    fn room_is_the_smaller_of_the_budget_and_what_the_file_system_offers() {
        let room =
            |configured, used, available| budget(configured).room_for_blobs(used, MIB, Some(space(available))).bytes;
        assert_eq!(room(10 << 30, 20 * MIB, 42 * MIB), 59 * MIB);
        assert_eq!(room(30 * MIB, 20 * MIB, 42 * MIB), 29 * MIB);
        assert_eq!(room(10 << 30, 20 * MIB, 0), 19 * MIB);
        assert_eq!(room(MIB / 2, 20 * MIB, 42 * MIB), 0);
        assert_eq!(budget(10 << 30).room_for_blobs(20 * MIB, MIB, None).bytes, (10 << 30) - MIB);
    }

    #[test]
    fn shortfall_on_a_full_disk_is_the_size_of_the_blob() {
        let shortfall =
            |used, needed, available| budget(30 * MIB).shortfall(used + needed, needed, Some(space(available)));
        assert_eq!(shortfall(20 * MIB, 4096, 42 * MIB), 0);
        assert_eq!(shortfall(20 * MIB, 4096, 0), 4096);
        assert_eq!(shortfall(20 * MIB, 8192, 2 * MIB + 4096), 4096);
        assert_eq!(shortfall(30 * MIB, 4096, 42 * MIB), 4096);
        assert_eq!(shortfall(31 * MIB, 4096, 0), MIB + 4096);
    }

    #[test]
    fn small_files_take_whole_blocks() {
        let mut room = Room { bytes: 8192, block: 4096 };
        assert_eq!((room.take(1), room.take(4097)), (Ok(()), Err(4096)));
        assert!(room.grown_by(4096).take(4097).is_ok() && room < room.grown_by(1));
    }

    proptest! {
        /// Prefetching plans by `room_for_blobs`, and writes by `shortfall`: what was planned is never refused.
        #[test]
        fn blob_that_fits_into_the_room_can_be_written(
            configured in 0_u64..100, used in 0_u64..100, pinned in 0_u64..100, important in 0_u64..100,
            available in 0_u64..100, needed in 0_u64..20,
        ) {
            // In blocks. Of the used bytes, pinned manifests and as important blobs cannot be evicted.
            let pinned = pinned.min(used);
            let important = important.min(used - pinned);
            let space = Some(DiskSpace { available: available * 4096, total: 320 * 4096, block: 4096 });
            let budget = budget(configured * 4096);
            let mut room = budget.room_for_blobs(used * 4096, pinned * 4096, space);
            room.take_stored(important * 4096);
            let evictable = (used - pinned - important) * 4096;
            let fits = budget.shortfall((used + needed) * 4096, needed * 4096, space) <= evictable;
            if needed > 0 {
                prop_assert_eq!(room.take(needed * 4096).is_ok(), fits);
            }
        }
    }
}
