//! The state of the feed on disk, from one process to the next.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use verge_daemon::feed::{RowRecord, StoredRow};
use verge_daemon::saved_state::{self, Loaded};
use verge_protocol::{Generation, Seq, SiteName};

use super::layout::Layout;

/// A record of the state file. Written from borrowed rows, read into owned ones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StateRecord<R = StoredRow> {
    /// The latest rows, and how far they go.
    Feed(RowRecord<R>),
    /// The row that a lagging channel still serves although a later one is known.
    Serving(R),
    /// The latest row of a channel that lags although nothing else is served: it serves the row without holding its release, or
    /// nothing yet.
    Unheld(R),
    /// The row that a channel served in an earlier history of the origin. Its files are inherited.
    Superseded {
        /// The row.
        row: R,
        /// For how long an edge must run until they are not, in seconds: a duration, since clocks may be wrong.
        #[serde(default = "superseded_seconds")]
        remaining_seconds: u64,
    },
    /// A purge of a site that is done, with all before it.
    Purged {
        /// The site.
        site: SiteName,
        /// The history in which it was made.
        generation: Generation,
        /// The write that made it.
        seq: Seq,
    },
    /// A purge of a site that was known in an earlier history, with all before it.
    EarlierPurge {
        /// The site.
        site: SiteName,
        /// The earlier history.
        generation: Generation,
        /// The write that made it.
        seq: Seq,
    },
}

/// How long the files of a release of an earlier history are inherited: as long as the origin lets a channel inherit.
pub(crate) const SUPERSEDED_INHERITED: Duration = Duration::from_hours(24);

/// For records of an older version, which have a time instead.
fn superseded_seconds() -> u64 {
    SUPERSEDED_INHERITED.as_secs()
}

/// Reads the state. A missing file is an empty state; of a damaged one, which is copied to the quarantine, the sound records are read.
pub(super) fn load(layout: &Layout) -> Loaded<StateRecord> {
    let path = layout.state();
    saved_state::load(&path, || layout.copy_to_quarantine(&path, "state.json"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;
    use verge_protocol::state::Row;

    #[test]
    fn damaged_state_is_copied_to_the_quarantine_and_its_sound_records_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        assert_eq!(load(&layout), Loaded { records: vec![], is_complete: true });
        let row = Row { key: "future/key".to_owned(), seq: Seq(3), value: Some(json!(1).into()) };
        let record = StateRecord::Serving(StoredRow { generation: Generation(1), row });
        let mut bytes = saved_state::encode([&record]).unwrap();
        std::fs::write(layout.state(), &bytes).unwrap();
        assert_eq!(load(&layout), Loaded { records: vec![record.clone()], is_complete: true });
        bytes.extend_from_slice(b"[]\n");
        std::fs::write(layout.state(), &bytes).unwrap();
        for _restart in 0..2 {
            assert_eq!(load(&layout), Loaded { records: vec![record.clone()], is_complete: false });
        }
        assert_eq!(std::fs::read(directory.path().join("quarantine/state.json")).unwrap(), bytes);
    }
}
