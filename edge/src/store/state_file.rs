//! The state of the feed on disk, from one process to the next.

use serde::{Deserialize, Serialize};
use verge_daemon::saved_state::{self, LossyVec};
use verge_protocol::state::Row;
use verge_protocol::{Generation, Json, Position, Seq};

use super::layout::Layout;

/// What an edge saves of the feed. Unknown fields are ignored, so that an edge can be downgraded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct SavedState {
    /// Every row up to here is in `rows`. `None` if some may be missing: the edge then asks for a snapshot.
    #[serde(default)]
    pub(crate) position: Option<Position>,
    /// The last row of each key, including kinds that this version does not know.
    #[serde(default)]
    pub(crate) rows: LossyVec<SavedRow>,
    /// The rows that lagging channels still serve.
    #[serde(default, deserialize_with = "saved_state::skip_invalid")]
    pub(crate) serving: Vec<ServedRow>,
}

/// A row and its generation: epochs of different generations are not comparable. In JSON the generation is one more field of the
/// row, so that versions which save plain rows can read these, and the other way round.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "SavedRowJson", into = "SavedRowJson")]
pub(crate) struct SavedRow {
    /// `None`: the generation of the position.
    pub(crate) generation: Option<Generation>,
    /// The row.
    pub(crate) row: Row,
}

#[derive(Serialize, Deserialize)]
struct SavedRowJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<Generation>,
    key: String,
    seq: Seq,
    value: Option<Json>,
}

impl From<SavedRowJson> for SavedRow {
    fn from(SavedRowJson { generation, key, seq, value }: SavedRowJson) -> Self {
        Self { generation, row: Row { key, seq, value } }
    }
}

impl From<SavedRow> for SavedRowJson {
    fn from(SavedRow { generation, row: Row { key, seq, value } }: SavedRow) -> Self {
        Self { generation, key, seq, value }
    }
}

/// A row that a lagging channel still serves although a later one is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ServedRow {
    /// Its generation.
    pub(crate) generation: Generation,
    /// The row.
    pub(crate) row: Row,
}

/// Reads the state. A missing, unreadable or damaged file gives an empty state; a damaged one is quarantined.
pub(super) fn load(layout: &Layout) -> SavedState {
    let path = layout.state();
    saved_state::load(&path, || layout.quarantine_as(&path, "state.json"))
}

#[cfg(test)]
mod tests {
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
    fn saved_rows_and_plain_rows_read_each_others_json() {
        let plain = Row { key: "channel/a/live".to_owned(), seq: Seq(3), value: None };
        let row = SavedRow { generation: Some(Generation(2)), row: plain.clone() };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(serde_json::from_value::<SavedRow>(json.clone()).unwrap(), row);
        assert_eq!(serde_json::from_value::<Row>(json).unwrap(), plain);
        let json = serde_json::to_value(&plain).unwrap();
        assert_eq!(serde_json::from_value::<SavedRow>(json).unwrap(), SavedRow { generation: None, row: plain });
    }

    #[test]
    fn unknown_fields_are_ignored() {
        let row = Row { key: "future/key".to_owned(), seq: Seq(3), value: Some(serde_json::json!(1).into()) };
        let row = SavedRow { generation: None, row };
        let saved = SavedState { position: Some("1-3".parse().unwrap()), rows: vec![row].into(), serving: Vec::new() };
        let mut json = serde_json::to_value(&saved).unwrap();
        json["future_field"] = true.into();
        assert_eq!(serde_json::from_value::<SavedState>(json).unwrap(), saved);
        assert_eq!(serde_json::from_str::<SavedState>("{}").unwrap(), SavedState::default());
    }
}
