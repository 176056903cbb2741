//! How far the edge has followed, on disk.

use serde::{Deserialize, Serialize};
use verge_daemon::saved_state::{self, LossyVec};
use verge_protocol::state::Row;
use verge_protocol::{Generation, Json, Position, Seq};

use super::layout::Layout;

/// What an edge remembers of the feed. Fields from another version are passed over, so that an edge can be downgraded.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Every row up to here is in `rows`; `None`: some may be missing, so start with a snapshot.
    #[serde(default)]
    pub(crate) position: Option<Position>,
    /// The last row of each key, also of kinds that this version cannot read.
    #[serde(default)]
    pub(crate) rows: LossyVec<SavedRow>,
    /// For channels that lag: what they go on serving.
    #[serde(default, deserialize_with = "saved_state::skip_invalid")]
    pub(crate) serving: Vec<Serving>,
}

/// A row, and the generation that told it: epochs of different generations do not compare. The generation stands beside the
/// row's own fields, so that earlier versions, which wrote rows alone, read these and are read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Fields", into = "Fields")]
pub(crate) struct SavedRow {
    /// `None`: that of the position.
    pub(crate) generation: Option<Generation>,
    /// The row.
    pub(crate) row: Row,
}

#[derive(Serialize, Deserialize)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    generation: Option<Generation>,
    key: String,
    seq: Seq,
    value: Option<Json>,
}

impl From<Fields> for SavedRow {
    fn from(Fields { generation, key, seq, value }: Fields) -> Self {
        Self { generation, row: Row { key, seq, value } }
    }
}

impl From<SavedRow> for Fields {
    fn from(SavedRow { generation, row: Row { key, seq, value } }: SavedRow) -> Self {
        Self { generation, key, seq, value }
    }
}

/// A row that is served although a later one is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Serving {
    /// Its generation.
    pub(crate) generation: Generation,
    /// The row.
    pub(crate) row: Row,
}

/// Reads the state. A file that is not there, or cannot be read, is a start from nothing.
pub(super) fn load(layout: &Layout) -> Saved {
    let path = layout.state();
    saved_state::load(&path, || layout.set_aside(&path, "state.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_damaged_state_is_a_start_from_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let layout = Layout::open(folder.path()).unwrap();
        assert_eq!(load(&layout), Saved::default());
        std::fs::write(layout.state(), b"{\"rows\":").unwrap();
        assert_eq!(load(&layout), Saved::default());
        assert!(folder.path().join("quarantine/state.json").exists());
    }

    #[test]
    fn rows_are_read_with_their_generation_and_without() {
        let plain = Row { key: "channel/a/live".to_owned(), seq: Seq(3), value: None };
        let row = SavedRow { generation: Some(Generation(2)), row: plain.clone() };
        let json = serde_json::to_value(&row).unwrap();
        assert_eq!(serde_json::from_value::<SavedRow>(json.clone()).unwrap(), row);
        assert_eq!(serde_json::from_value::<Row>(json).unwrap(), plain);
        let json = serde_json::to_value(&plain).unwrap();
        assert_eq!(serde_json::from_value::<SavedRow>(json).unwrap(), SavedRow { generation: None, row: plain });
    }

    #[test]
    fn another_versions_fields_are_passed_over() {
        let row = Row { key: "moon/full".to_owned(), seq: Seq(3), value: Some(serde_json::json!(1).into()) };
        let row = SavedRow { generation: None, row };
        let saved = Saved { position: Some("1-3".parse().unwrap()), rows: vec![row].into(), serving: Vec::new() };
        let mut json = serde_json::to_value(&saved).unwrap();
        json["tides"] = true.into();
        assert_eq!(serde_json::from_value::<Saved>(json).unwrap(), saved);
        assert_eq!(serde_json::from_str::<Saved>("{}").unwrap(), Saved::default());
    }
}
