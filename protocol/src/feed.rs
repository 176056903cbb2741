//! The change feed: `GET /v1/changes?since=CHECKPOINT`, as server-sent events.
//!
//! Rows above the checkpoint are sent in order of their sequence numbers, then `caught-up`, then new rows as they are written.
//! Without a checkpoint the feed starts with a snapshot of the whole table. A subscriber buffers rows until `caught-up`, then applies
//! them together; later rows are applied on arrival. The id of each event is the [`Checkpoint`] to resume from after it.

use serde::{Deserialize, Serialize};

use crate::position::Checkpoint;
use crate::state::Row;

/// Interval of heartbeats on an idle feed, in seconds. A subscriber that receives nothing for three times as long considers the
/// connection dead.
pub const HEARTBEAT_SECONDS: u64 = 5;

/// An event of the feed, and where the subscriber is after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FeedMessage {
    /// Every write up to here was sent: the id of the event.
    pub at: Checkpoint,
    /// The event.
    pub event: FeedEvent,
}

/// One event of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    /// A key changed.
    Row(Row),
    /// All rows that existed when the feed was opened were sent.
    CaughtUp {
        /// Whether none was left out. The origin leaves out rows that it cannot read: a subscriber must not take the keys that a
        /// snapshot lacks for deleted then.
        complete: bool,
    },
    /// The checkpoint cannot be resumed from: subscribe again without `since`, for a snapshot. This is the last event.
    Reset(Reset),
    /// The connection is alive; nothing changed.
    Heartbeat,
}

/// Why a subscriber must start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reset {
    /// The checkpoint is one of this history, but the rows after it cannot be listed any more: keys that the snapshot lacks were
    /// deleted.
    Compacted,
    /// The checkpoint is not one of this history: the origin was restored from an older copy, or is another one. The subscriber may
    /// have keys that this origin has never known. An unknown reason is read as this one.
    #[serde(other)]
    Diverged,
}

#[derive(Serialize, Deserialize)]
struct CaughtUp {
    complete: bool,
}

impl FeedEvent {
    /// The event's name and data, as written to the stream.
    pub fn to_parts(&self) -> (&'static str, String) {
        let json = |result: serde_json::Result<String>| result.expect("plain data serializes");
        match self {
            Self::Row(row) => ("row", json(serde_json::to_string(row))),
            Self::CaughtUp { complete } => {
                ("caught-up", json(serde_json::to_string(&CaughtUp { complete: *complete })))
            }
            Self::Reset(reset) => ("reset", json(serde_json::to_string(reset))),
            Self::Heartbeat => ("heartbeat", "{}".to_owned()),
        }
    }

    /// Parses an event; `None` for an event type of a newer origin, which is to be ignored.
    pub fn from_parts(name: &str, data: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match name {
            "row" => Self::Row(serde_json::from_str(data)?),
            "caught-up" => Self::CaughtUp { complete: serde_json::from_str::<CaughtUp>(data)?.complete },
            "reset" => Self::Reset(serde_json::from_str(data)?),
            "heartbeat" => Self::Heartbeat,
            _ => return Ok(None),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::position::Seq;

    #[test]
    fn events_roundtrip() {
        let row = Row { key: "channel/demo/live".into(), seq: Seq(3), value: None };
        let events = [
            FeedEvent::Row(row),
            FeedEvent::CaughtUp { complete: true },
            FeedEvent::Reset(Reset::Compacted),
            FeedEvent::Heartbeat,
        ];
        let mut wire = Vec::new();
        for event in events {
            let (name, data) = event.to_parts();
            wire.push(format!("{name} {data}"));
            assert_eq!(FeedEvent::from_parts(name, &data).unwrap(), Some(event));
        }
        insta::assert_snapshot!(wire.join("\n"));
    }

    #[test]
    fn unknown_event_type_is_ignored() {
        assert_eq!(FeedEvent::from_parts("weather", "sunny").unwrap(), None);
        let reset = FeedEvent::from_parts("reset", r#"{"reason":"mood"}"#).unwrap();
        assert_eq!(reset, Some(FeedEvent::Reset(Reset::Diverged)));
    }
}
