//! The state file: what survives a restart.

use std::path::Path;

use serde::{Deserialize, Serialize};
use verge_daemon::feed::{SavedRows, StoredRow};
use verge_daemon::saved_state::{self, LossyVec};

use crate::fleet_state::Channel;
use crate::health::SavedHealth;

/// The file in the data directory.
pub(super) const FILE: &str = "state.json";
/// Where a corrupt file is moved.
const CORRUPT: &str = "state.json.corrupt";

/// The contents of the file. Fields and entries of other versions are ignored, so that a name server can be downgraded. It is
/// serialized from borrowed data and deserialized to owned data.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct Saved<Channels = LossyVec<Channel>, Rows = LossyVec<StoredRow>, Health = SavedHealth> {
    /// All rows but those of channels.
    #[serde(default)]
    pub(super) feed: SavedRows<Rows>,
    /// The channels that exist.
    #[serde(default)]
    pub(super) channels: Channels,
    /// The health of the edges.
    #[serde(default)]
    pub(super) health: Health,
}

/// Loads the file in `folder`. A missing or corrupt file is an empty state; a corrupt one is moved aside. Blocks.
pub(super) fn load(folder: &Path) -> Saved {
    let path = folder.join(FILE);
    saved_state::load(&path, || {
        if let Err(error) = std::fs::rename(&path, folder.join(CORRUPT)) {
            tracing::error!(file = %path.display(), %error, "failed to move the corrupt state file aside");
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

    fn saved() -> Saved {
        let row = |key: &str| {
            let row = Row { key: key.to_owned(), seq: Seq(3), value: Some(json!(1).into()) };
            vec![StoredRow { generation: Generation(1), row }].into()
        };
        let address = SavedAddress {
            edge: "fra-1".parse().unwrap(),
            address: "2001:db8::1".parse().unwrap(),
            up: false,
            lagging: false,
            draining: true,
        };
        Saved {
            feed: SavedRows { position: "1-3".parse().ok(), rows: row("moon/full"), refused: row("edge/a") },
            channels: ["demo/live", "demo/pr-12"].map(|channel| channel.parse().unwrap()).to_vec().into(),
            health: SavedHealth { lag_threshold: "1-2".parse().ok(), addresses: vec![address] },
        }
    }

    #[test]
    fn state_file_format() {
        insta::assert_snapshot!(serde_json::to_string_pretty(&saved()).unwrap());
    }

    #[test]
    fn fields_of_other_versions_are_ignored() {
        let mut json = serde_json::to_value(saved()).unwrap();
        json["tides"] = true.into();
        json["health"]["addresses"][0]["tides"] = true.into();
        assert_eq!(serde_json::from_value::<Saved>(json).unwrap(), saved());
        assert_eq!(serde_json::from_str::<Saved>("{}").unwrap(), Saved::default());
    }

    #[test]
    fn entries_of_other_versions_are_counted_as_lost() {
        let mut json = serde_json::to_value(saved()).unwrap();
        for list in ["/channels", "/feed/rows", "/feed/refused", "/health/addresses"] {
            json.pointer_mut(list).unwrap().as_array_mut().unwrap().push(json!({ "tides": 1 }));
        }
        let read: Saved = serde_json::from_value(json).unwrap();
        let (Saved { channels, feed: SavedRows { rows, refused, .. }, .. }, expected) = (&read, saved());
        assert_eq!((channels.lost, rows.lost, refused.lost), (1, 1, 1));
        assert_eq!((&channels.entries, &rows.entries), (&expected.channels.entries, &expected.feed.rows.entries));
        assert_eq!((&refused.entries, &read.health), (&expected.feed.refused.entries, &expected.health));
    }

    #[test]
    fn corrupt_file_is_moved_aside() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(load(folder.path()), Saved::default());
        let file = folder.path().join(FILE);
        std::fs::write(&file, serde_json::to_vec(&saved()).unwrap()).unwrap();
        assert_eq!(load(folder.path()), saved());
        std::fs::write(&file, b"{\"rows\":").unwrap();
        assert_eq!(load(folder.path()), Saved::default());
        assert_eq!(std::fs::read(folder.path().join(CORRUPT)).unwrap(), b"{\"rows\":");
        assert!(!file.exists());
    }
}
