//! The origin's table of keys, as edges are told of it.
//!
//! A row says that a key has a value, or none, as of a sequence number. Values may name secrets by digest; they never hold them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::host::HostLabel;
use crate::name::{ChannelName, SiteName};
use crate::position::Seq;
use crate::release::ReleaseNumber;
use crate::timestamp::Timestamp;

/// A row as it travels and as edges keep it. Keys and values from a newer origin pass through unread, so that an edge that
/// is upgraded later finds them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The text of the [`Key`].
    pub key: String,
    /// The write that put it there.
    pub seq: Seq,
    /// The value; `None` is a tombstone.
    pub value: Option<serde_json::Value>,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `channel/<site>/<channel>`, whose value is a [`ChannelState`].
    Channel(SiteName, ChannelName),
}

/// The text of a key that this version does not know: to be skipped and reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key known here")]
pub struct UnknownKey(String);

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let mut parts = text.split('/');
        let key = (|| match (parts.next()?, parts.next()?, parts.next()?, parts.next()) {
            ("channel", site, channel, None) => Some(Self::Channel(site.parse().ok()?, channel.parse().ok()?)),
            _ => None,
        })();
        key.ok_or_else(|| UnknownKey(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(site, channel) => write!(formatter, "channel/{site}/{channel}"),
        }
    }
}

/// Where a channel points.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// The write that last moved the channel. An edge refuses a lower one than it has applied.
    pub epoch: Seq,
    /// The release it points at.
    pub release: ReleaseNumber,
    /// That release's manifest.
    pub manifest: Digest,
    /// Manifests whose fingerprinted files are still served where the release has no file of its own, nearest first: for tabs
    /// that were opened before the switch.
    #[serde(default)]
    pub inherits: Vec<Inherited>,
}

/// A manifest that lives on in the channel's later releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// The manifest.
    pub manifest: Digest,
    /// From when on it no longer counts.
    pub until: Timestamp,
}

impl ChannelState {
    /// Every manifest it needs, its own first.
    pub fn manifests(&self) -> impl Iterator<Item = Digest> + '_ {
        std::iter::once(self.manifest).chain(self.inherits.iter().map(|inherited| inherited.manifest))
    }
}

/// A row, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A channel and where it points; `None` when it is gone.
    Channel(HostLabel, Option<ChannelState>),
}

/// Why a row cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Its key is of a kind this version does not know.
    #[error(transparent)]
    UnknownKey(#[from] UnknownKey),
    /// Its value does not have the shape that the key asks for.
    #[error("the value of `{key}` cannot be read")]
    Value {
        /// The key.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
}

impl Row {
    /// Reads the row.
    pub fn entry(&self) -> Result<Entry, RowError> {
        match self.key.parse()? {
            Key::Channel(site, channel) => {
                let state = self.value.as_ref().map(ChannelState::deserialize).transpose();
                let state = state.map_err(|source| RowError::Value { key: self.key.clone(), source })?;
                Ok(Entry::Channel(HostLabel { site, channel }, state))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: serde_json::Value) -> Row {
        Row { key: key.to_owned(), seq: Seq(7), value: Some(value) }
    }

    #[test]
    fn a_key_has_one_text() {
        let key: Key = "channel/demo/pr-12".parse().unwrap();
        assert_eq!(key.to_string(), "channel/demo/pr-12");
        for unknown in ["", "channel", "channel/demo", "channel/demo/live/x", "channel/Demo/live", "moon/demo/live"] {
            assert!(unknown.parse::<Key>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn rows_are_read_by_their_key() {
        let value = serde_json::json!({
            "epoch": 7, "release": "v2", "manifest": Digest::of(b"m"), "a field from the future": true,
        });
        let Entry::Channel(label, state) = row("channel/demo/live", value).entry().unwrap();
        assert_eq!(label.to_string(), "demo");
        assert_eq!(state.unwrap().release, ReleaseNumber(2));
        assert!(matches!(row("moon/full", 1.into()).entry(), Err(RowError::UnknownKey(_))));
        assert!(matches!(row("channel/demo/live", 1.into()).entry(), Err(RowError::Value { .. })));
    }
}
