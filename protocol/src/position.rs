//! Sequence numbers, generations, and positions in the origin's state.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::serde_text::serde_as_text;

/// The sequence number of a write to the origin's state: gap-free, in commit order. The *epoch* of a channel is the `Seq` of the write
/// that last moved it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seq(pub u64);

impl fmt::Display for Seq {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// The history that sequence numbers belong to. Raised when an origin is restored from a backup, because the numbers of an older
/// generation may denote other writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A position in the change feed: every write up to and including `seq` of `generation`. Its text form is `generation-seq`, as in
/// `1-42`, which is also the event id of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Position {
    /// The history. Compared first.
    pub generation: Generation,
    /// The last write included.
    pub seq: Seq,
}

impl Position {
    /// Whether the write `at` is included; never true for another generation.
    pub fn includes(self, at: Self) -> bool {
        self.generation == at.generation && self.seq >= at.seq
    }
}

/// The text is not a position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid feed position `{0}`: expected generation-sequence, such as 1-42")]
pub struct PositionError(String);

impl FromStr for Position {
    type Err = PositionError;

    fn from_str(text: &str) -> Result<Self, PositionError> {
        let number = |digits: &str| digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()));
        text.split_once('-')
            .and_then(|(generation, seq)| {
                Some(Self { generation: Generation(number(generation)?), seq: Seq(number(seq)?) })
            })
            .ok_or_else(|| PositionError(text.to_owned()))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.generation, self.seq)
    }
}

serde_as_text!(Position);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn position_of_later_generation_compares_greater() {
        let at = |text: &str| text.parse::<Position>().unwrap();
        assert!(at("2-1") > at("1-900"));
        assert!(at("1-2") > at("1-1"));
        assert_eq!(at("1-42").to_string(), "1-42");
        for bad in ["", "1", "-1", "1-", "1-2-3", "1-+2", "a-1"] {
            assert!(bad.parse::<Position>().is_err(), "{bad}");
        }
    }
}
