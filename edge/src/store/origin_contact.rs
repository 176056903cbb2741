//! When an origin was last seen, on disk, from one process to the next.

use std::fs::OpenOptions;
use std::io::{self, Write};

use verge_protocol::Timestamp;

use super::layout::Layout;

/// The saved time; `None` if none is saved, or what is saved is no time.
pub(super) fn load(layout: &Layout) -> Option<Timestamp> {
    let text = std::fs::read_to_string(layout.origin_contact()).ok()?;
    Some(Timestamp(text.trim_end().parse().ok()?))
}

/// Saves a time, in milliseconds. It is written over the last one, which has as many digits: a full disk has room for that.
pub(super) fn save(layout: &Layout, at: Timestamp) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).write(true).truncate(false).open(layout.origin_contact())?;
    writeln!(file, "{:013}", at.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contact_is_saved_over_the_last_one_and_damage_is_no_contact() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        assert_eq!(load(&layout), None);
        for at in [1_795_892_684_123, 7].map(Timestamp) {
            save(&layout, at).unwrap();
            assert_eq!(load(&layout), Some(at));
        }
        std::fs::write(layout.origin_contact(), "").unwrap();
        assert_eq!(load(&layout), None);
    }
}
