//! Sequence numbers, generations, positions in the origin's state, and the digest of the history that leads to one.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Hasher;
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

/// The history that sequence numbers belong to. An origin takes a new one when it finds that it was restored from an older copy,
/// because the numbers of an older generation may denote other writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

impl fmt::Display for Generation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

/// A position in the origin's state: every write up to and including `seq` of `generation`. Its text form is `generation-seq`, as in
/// `1-42`.
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

/// A digest over all writes of an origin up to a sequence number, in order: the first 64 bits of a SHA-256 that each write continues.
/// Origins whose histories differ in any write differ in it from then on, with certainty for all practical purposes. Its text form
/// is 16 lowercase hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct History(u64);

impl History {
    /// The history without any write.
    pub const EMPTY: Self = Self(0);

    /// This history and one more write. `value` is the JSON text as it is stored; `None` for a tombstone.
    #[must_use]
    pub fn then(self, seq: Seq, key: &str, value: Option<&str>) -> Self {
        let mut hasher = Hasher::default();
        hasher.update(&self.0.to_be_bytes());
        hasher.update(&seq.0.to_be_bytes());
        hasher.update(&(key.len() as u64).to_be_bytes());
        hasher.update(key.as_bytes());
        hasher.update(&[u8::from(value.is_some())]);
        hasher.update(value.unwrap_or_default().as_bytes());
        let digest = hasher.finish();
        let (first, _) = digest.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
        Self(u64::from_be_bytes(*first))
    }
}

/// The text is not the digest of a history.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid history `{0}`: expected 16 hex digits")]
pub struct HistoryError(String);

impl FromStr for History {
    type Err = HistoryError;

    fn from_str(text: &str) -> Result<Self, HistoryError> {
        let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let digits = Some(text).filter(|text| text.len() == 16 && text.bytes().all(is_hex));
        digits
            .and_then(|digits| u64::from_str_radix(digits, 16).ok())
            .map(Self)
            .ok_or_else(|| HistoryError(text.to_owned()))
    }
}

impl fmt::Display for History {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

serde_as_text!(History);

/// A position together with the history that leads to it: what a subscriber resumes the change feed from. Its text form is
/// `generation-seq-history`, as in `1-42-00c0ffee00c0ffee`, which is also the event id of the feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Checkpoint {
    /// The position.
    pub position: Position,
    /// All writes up to it.
    pub history: History,
}

/// The text is not a checkpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid feed checkpoint `{0}`: expected generation-sequence-history, such as 1-42-00c0ffee00c0ffee")]
pub struct CheckpointError(String);

impl FromStr for Checkpoint {
    type Err = CheckpointError;

    fn from_str(text: &str) -> Result<Self, CheckpointError> {
        text.rsplit_once('-')
            .and_then(|(position, history)| {
                Some(Self { position: position.parse().ok()?, history: history.parse().ok()? })
            })
            .ok_or_else(|| CheckpointError(text.to_owned()))
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}-{}", self.position, self.history)
    }
}

serde_as_text!(Checkpoint);

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

    #[test]
    fn checkpoint_has_one_text_form() {
        let text = "1-42-00c0ffee00c0ffee";
        assert_eq!(text.parse::<Checkpoint>().unwrap().to_string(), text);
        for bad in [
            "",
            "1-42",
            "1-42-",
            "1-42-00c0ffee00c0ffe",
            "1-42-00C0FFEE00C0FFEE",
            "1-42-+0c0ffee00c0ffee",
            "42-00c0ffee00c0ffee",
        ] {
            assert!(bad.parse::<Checkpoint>().is_err(), "{bad}");
        }
    }

    #[test]
    fn history_depends_on_every_part_of_every_write_and_on_their_order() {
        let one = History::EMPTY.then(Seq(1), "a/b", Some("{}"));
        let others = [
            History::EMPTY.then(Seq(2), "a/b", Some("{}")),
            History::EMPTY.then(Seq(1), "a/", Some("b{}")),
            History::EMPTY.then(Seq(1), "a/b", Some("")),
            History::EMPTY.then(Seq(1), "a/b", None),
            one.then(Seq(1), "a/b", Some("{}")),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
        assert_ne!(others[2], others[3]);
        let two = |first: &str, second: &str| History::EMPTY.then(Seq(1), first, None).then(Seq(2), second, None);
        assert_ne!(two("a", "b"), two("b", "a"));
    }
}
