//! The state file: what survives a restart.

use std::path::Path;

use serde::{Deserialize, Serialize};
use verge_daemon::feed::{RowRecord, StoredRow};
use verge_daemon::saved_state::{self, Loaded};

use crate::fleet_state::Channel;
use crate::health::SavedHealth;

/// The file in the data directory.
pub(super) const FILE: &str = "state.json";
/// A copy of the last damaged one.
const DAMAGED: &str = "state.json.damaged";

/// A record of the file. Written from borrowed data, read into owned data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum StateRecord<Row = StoredRow, Name = Channel, Health = SavedHealth> {
    /// All rows but those of channels, and how far they go.
    Feed(RowRecord<Row>),
    /// A channel that exists.
    Channel(Name),
    /// The health of the edges.
    Health(Health),
}

/// Loads the file in `folder`. A missing file is an empty state; of a damaged one, which is copied, the sound records are read. Blocks.
pub(super) fn load(folder: &Path) -> Loaded<StateRecord> {
    let path = folder.join(FILE);
    saved_state::load(&path, || {
        if let Err(error) = std::fs::copy(&path, folder.join(DAMAGED)) {
            tracing::error!(file = %path.display(), %error, "failed to copy the damaged state file");
        }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_protocol::state::Row;
    use verge_protocol::{Generation, Seq};

    use super::*;
    use crate::health::SavedAddress;

    fn records() -> Vec<StateRecord> {
        let row = |key: &str| {
            let row = Row { key: key.to_owned(), seq: Seq(3), value: Some(json!(1).into()) };
            StoredRow { generation: Generation(1), row }
        };
        let address = SavedAddress {
            edge: "fra-1".parse().unwrap(),
            address: "2001:db8::1".parse().unwrap(),
            up: false,
            lagging: false,
            cut_off: true,
            draining: true,
        };
        vec![
            StateRecord::Feed(RowRecord::Checkpoint("1-3-00c0ffee00c0ffee".parse().unwrap())),
            StateRecord::Feed(RowRecord::Row(row("moon/full"))),
            StateRecord::Feed(RowRecord::Refused(row("edge/a"))),
            StateRecord::Channel("demo/live".parse().unwrap()),
            StateRecord::Health(SavedHealth {
                lag_threshold: "1-2".parse().ok(),
                obtainable_threshold: "1-3".parse().ok(),
                addresses: vec![address],
            }),
        ]
    }

    #[test]
    fn state_file_format() {
        insta::assert_snapshot!(String::from_utf8(saved_state::encode(records()).unwrap()).unwrap());
    }

    #[test]
    fn damaged_file_is_copied_and_its_sound_records_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(FILE);
        assert_eq!(load(folder.path()), Loaded { records: vec![], is_complete: true });
        let sound = saved_state::encode(records()).unwrap();
        std::fs::write(&file, &sound).unwrap();
        assert_eq!(load(folder.path()), Loaded { records: records(), is_complete: true });
        for bit in 0..sound.len() * 8 {
            let mut damaged = sound.clone();
            damaged[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(&file, &damaged).unwrap();
            let loaded = load(folder.path());
            assert!(!loaded.is_complete && loaded.records.len() >= 3, "bit {bit}: {loaded:?}");
            assert!(loaded.records.iter().all(|record| records().contains(record)), "bit {bit}: {loaded:?}");
            assert_eq!(std::fs::read(folder.path().join(DAMAGED)).unwrap(), damaged);
        }
    }
}
