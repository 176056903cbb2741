//! The origin's table of keys, as edges are told of it.
//!
//! A row says that a key has a value, or none, as of a sequence number. Values may name secrets by digest; they never hold them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::domain::DomainName;
use crate::fleet::{DomainState, EdgeState, SiteState};
use crate::host::HostLabel;
use crate::json::Json;
use crate::name::{ChannelName, EdgeName, SiteName};
use crate::position::Seq;
use crate::release::ReleaseNumber;
use crate::timestamp::Timestamp;

/// A row as it travels and as edges keep it. Keys and values from a newer origin pass through unread, so that an edge that
/// is upgraded later finds them whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The text of the [`Key`].
    pub key: String,
    /// The write that put it there.
    pub seq: Seq,
    /// The value; `None` is a tombstone.
    pub value: Option<Json>,
}

/// What a row is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `channel/<site>/<channel>`, whose value is a [`ChannelState`].
    Channel(SiteName, ChannelName),
    /// `edge/<edge>`, whose value is an [`EdgeState`].
    Edge(EdgeName),
    /// `site/<site>`, whose value is a [`SiteState`].
    Site(SiteName),
    /// `domain/<domain>`, whose value is a [`DomainState`].
    Domain(DomainName),
}

/// The text of a key that this version does not know: to be skipped and reported.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a key known here")]
pub struct UnknownKey(String);

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let mut parts = text.split('/');
        let key = (|| match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
            ("channel", site, Some(channel), None) => Some(Self::Channel(site.parse().ok()?, channel.parse().ok()?)),
            ("edge", edge, None, None) => Some(Self::Edge(edge.parse().ok()?)),
            ("site", site, None, None) => Some(Self::Site(site.parse().ok()?)),
            ("domain", domain, None, None) => Some(Self::Domain(domain.parse().ok()?)),
            _ => None,
        })();
        key.ok_or_else(|| UnknownKey(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(site, channel) => write!(formatter, "channel/{site}/{channel}"),
            Self::Edge(edge) => write!(formatter, "edge/{edge}"),
            Self::Site(site) => write!(formatter, "site/{site}"),
            Self::Domain(domain) => write!(formatter, "domain/{domain}"),
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

/// A row, read. The value is `None` when what it is about is gone.
#[derive(Debug, Clone, PartialEq)]
pub enum Entry {
    /// A channel and where it points.
    Channel(HostLabel, Option<ChannelState>),
    /// An edge and how readers are sent to it.
    Edge(EdgeName, Option<EdgeState>),
    /// A site and what goes for all its channels.
    Site(SiteName, Option<SiteState>),
    /// A proven domain and what it shows.
    Domain(DomainName, Option<DomainState>),
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
        Ok(match self.key.parse()? {
            Key::Channel(site, channel) => Entry::Channel(HostLabel { site, channel }, self.read()?),
            Key::Edge(edge) => Entry::Edge(edge, self.read()?),
            Key::Site(site) => Entry::Site(site, self.read()?),
            Key::Domain(domain) => Entry::Domain(domain, self.read()?),
        })
    }

    fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<Option<T>, RowError> {
        let value = self.value.as_ref().map(Json::read).transpose();
        value.map_err(|source| RowError::Value { key: self.key.clone(), source })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(key: &str, value: serde_json::Value) -> Row {
        Row { key: key.to_owned(), seq: Seq(7), value: Some(value.into()) }
    }

    #[test]
    fn a_key_has_one_text() {
        for text in ["channel/demo/pr-12", "edge/fra-1", "site/demo", "domain/www.example.com"] {
            assert_eq!(text.parse::<Key>().unwrap().to_string(), text);
        }
        for unknown in [
            "",
            "channel",
            "channel/demo",
            "channel/demo/live/x",
            "channel/Demo/live",
            "moon/demo/live",
            "edge/",
            "edge/a/b",
        ] {
            assert!(unknown.parse::<Key>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn rows_are_read_by_their_key() {
        let value = serde_json::json!({
            "epoch": 7, "release": "v2", "manifest": Digest::of(b"m"), "a field from the future": true,
        });
        let Ok(Entry::Channel(label, state)) = row("channel/demo/live", value).entry() else { panic!("a channel") };
        assert_eq!(label.to_string(), "demo");
        assert_eq!(state.unwrap().release, ReleaseNumber(2));
        assert!(matches!(row("moon/full", 1.into()).entry(), Err(RowError::UnknownKey(_))));
        assert!(matches!(row("channel/demo/live", 1.into()).entry(), Err(RowError::Value { .. })));
    }
}
