//! The change feed: `GET /v1/changes?since=POSITION`, as server-sent events.
//!
//! Rows above the position come in order of their sequence numbers, then `caught-up`, then new rows as they are written.
//! Without a position the feed starts with the whole table. A reader swaps to what it has heard at `caught-up`, and at each row
//! after it.

use serde::{Deserialize, Serialize};

use crate::position::Position;
use crate::state::Row;

/// How often the origin says something when there is nothing to say, in seconds. A reader that hears nothing for three times
/// as long takes the connection for dead.
pub const HEARTBEAT_SECONDS: u64 = 5;

/// One event of the feed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FeedEvent {
    /// A key changed.
    Row(Row),
    /// All rows up to this position have been sent.
    CaughtUp(Position),
    /// The asked position is of no use here: forget the table and ask again without one. The stream ends.
    Reset(Reset),
    /// Nothing changed.
    Heartbeat,
}

/// Why a reader must start over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "reason")]
pub enum Reset {
    /// The origin is of another generation: it was restored from a backup.
    Generation,
    /// The position is ahead of the origin.
    Ahead,
    /// Tombstones up to the position are gone. Also what a reader makes of a reason it does not know.
    #[serde(other)]
    Compacted,
}

#[derive(Serialize, Deserialize)]
struct CaughtUp {
    position: Position,
}

impl FeedEvent {
    /// The event's name and data, as they go into the stream.
    pub fn to_parts(&self) -> (&'static str, String) {
        let json = |result: serde_json::Result<String>| result.expect("plain data serializes");
        match self {
            Self::Row(row) => ("row", json(serde_json::to_string(row))),
            Self::CaughtUp(position) => ("caught-up", json(serde_json::to_string(&CaughtUp { position: *position }))),
            Self::Reset(reset) => ("reset", json(serde_json::to_string(reset))),
            Self::Heartbeat => ("heartbeat", "{}".to_owned()),
        }
    }

    /// Reads an event by its name; `None` for a name from a newer origin, to be passed over.
    pub fn from_parts(name: &str, data: &str) -> Result<Option<Self>, serde_json::Error> {
        Ok(Some(match name {
            "row" => Self::Row(serde_json::from_str(data)?),
            "caught-up" => Self::CaughtUp(serde_json::from_str::<CaughtUp>(data)?.position),
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
    fn events_come_back_as_they_went() {
        let row = Row { key: "channel/demo/live".into(), seq: Seq(3), value: None };
        let events = [
            FeedEvent::Row(row),
            FeedEvent::CaughtUp("1-3".parse().unwrap()),
            FeedEvent::Reset(Reset::Generation),
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
    fn what_a_newer_origin_says_is_passed_over() {
        assert_eq!(FeedEvent::from_parts("weather", "sunny").unwrap(), None);
        let reset = FeedEvent::from_parts("reset", r#"{"reason":"mood"}"#).unwrap();
        assert_eq!(reset, Some(FeedEvent::Reset(Reset::Compacted)));
    }
}
