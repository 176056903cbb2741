//! The state of the feed on disk, from one process to the next.

use serde::{Deserialize, Serialize};
use verge_daemon::feed::{SavedRows, StoredRow};
use verge_daemon::saved_state::{self, LossyVec};

use super::layout::Layout;

/// What an edge saves of the feed. Unknown fields are ignored, so that an edge can be downgraded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SavedState<Rows = LossyVec<StoredRow>> {
    /// The latest rows.
    #[serde(default)]
    pub(crate) feed: SavedRows<Rows>,
    /// The rows that lagging channels still serve although later ones are known.
    #[serde(default, deserialize_with = "saved_state::skip_invalid")]
    pub(crate) serving: Vec<StoredRow>,
}

/// Reads the state. A missing, unreadable or damaged file gives an empty state; a damaged one is quarantined.
pub(super) fn load(layout: &Layout) -> SavedState {
    let path = layout.state();
    saved_state::load(&path, || layout.quarantine_as(&path, "state.json"))
}

#[cfg(test)]
mod tests {
    use verge_protocol::state::Row;
    use verge_protocol::{Generation, Seq};

    use super::*;

    #[test]
    fn damaged_state_is_quarantined_and_loads_empty() {
        let directory = tempfile::tempdir().unwrap();
        let layout = Layout::open(directory.path()).unwrap();
        assert_eq!(load(&layout), SavedState::default());
        std::fs::write(layout.state(), b"{\"rows\":").unwrap();
        assert_eq!(load(&layout), SavedState::default());
        assert!(directory.path().join("quarantine/state.json").exists());
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let row = Row { key: "future/key".to_owned(), seq: Seq(3), value: Some(serde_json::json!(1).into()) };
        let rows = vec![StoredRow { generation: Generation(1), row }].into();
        let feed = SavedRows { position: Some("1-3".parse().unwrap()), rows, ..SavedRows::default() };
        let saved = SavedState { feed, serving: Vec::new() };
        let mut json = serde_json::to_value(&saved).unwrap();
        json["future_field"] = true.into();
        assert_eq!(serde_json::from_value::<SavedState>(json).unwrap(), saved);
        assert_eq!(serde_json::from_str::<SavedState>("{}").unwrap(), SavedState::default());
    }
}
