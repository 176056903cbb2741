//! Rows that are kept for another process, or for a version of this one that knows more of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use verge_protocol::state::Row;

/// Rows, by key. To copy them copies no text.
pub(super) type KeptRows = BTreeMap<Arc<str>, KeptRow>;

/// A row with all that it says, as text: a tenth of what a value takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub(super) struct KeptRow(Arc<str>);

impl From<&Row> for KeptRow {
    fn from(row: &Row) -> Self {
        Self(serde_json::to_string(row).expect("a row has a text: its keys are texts").into())
    }
}

impl From<Row> for KeptRow {
    fn from(row: Row) -> Self {
        Self::from(&row)
    }
}

impl From<KeptRow> for Row {
    fn from(KeptRow(text): KeptRow) -> Self {
        serde_json::from_str(&text).expect("it is the text of a row")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use verge_protocol::Seq;

    use super::*;

    #[test]
    fn nothing_is_lost() {
        let value = json!({ "addresses": ["192.0.2.1"], "tides": { "high": [1, 2.5, null, u64::MAX, i64::MIN] }, "\"": "\\\n" });
        for value in [Some(value), None] {
            let row = Row { key: "edge/\"fra\"".to_owned(), seq: Seq(u64::MAX), value };
            let kept = KeptRow::from(&row);
            let json = serde_json::to_string(&kept).unwrap();
            assert_eq!(serde_json::from_str::<KeptRow>(&json).unwrap(), kept);
            assert_eq!(json, serde_json::to_string(&row).unwrap());
        }
    }
}
