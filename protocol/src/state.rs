//! The origin's state: a table of keys and values, sent to edges and name servers row by row.
//!
//! A row says that a key has a value, or none, as of a sequence number. Values may name secrets by digest; they never hold them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::canary::Canary;
use crate::certificate::{CaaState, CertificateState, ChallengeState, TicketSecretState};
use crate::digest::Digest;
use crate::domain::DomainName;
use crate::fleet::{DomainState, EdgeState, SiteState};
use crate::host::HostLabel;
use crate::json::Json;
use crate::name::{ChannelName, EdgeName, IdempotencyKey, SiteName};
use crate::path::SitePath;
use crate::position::Seq;
use crate::purge::{PurgeScope, PurgeState};
use crate::release::ReleaseNumber;
use crate::timestamp::Timestamp;

/// A row as sent by the feed and as stored by subscribers. Keys and values of a newer origin are kept unparsed, so that a subscriber
/// that is upgraded later can read them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// The text form of the [`Key`].
    pub key: String,
    /// The write that set it.
    pub seq: Seq,
    /// The value; `None` is a tombstone.
    pub value: Option<Json>,
}

/// The key of a row.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// `channel/<site>/<channel>`, whose value is a [`ChannelState`].
    Channel(SiteName, ChannelName),
    /// `rollout/<site>/<channel>`, whose value is a [`RolloutState`].
    Rollout(SiteName, ChannelName),
    /// `release/<site>/<release>`, whose value is a [`ReleaseState`].
    Release(SiteName, ReleaseNumber),
    /// `edge/<edge>`, whose value is an [`EdgeState`].
    Edge(EdgeName),
    /// `site/<site>`, whose value is a [`SiteState`].
    Site(SiteName),
    /// `domain/<domain>`, whose value is a [`DomainState`].
    Domain(DomainName),
    /// `purge/<site>`, whose value is a [`PurgeState`].
    Purge(SiteName),
    /// `erased/<site>/<digest of a content>`, whose value is an [`ErasedState`].
    Erased(SiteName, Digest),
    /// `certificate/<domain>`, whose value is a [`CertificateState`].
    Certificate(DomainName),
    /// `challenge/<domain>`, whose value is a [`ChallengeState`].
    Challenge(DomainName),
    /// `secret/tickets`, whose value is a [`TicketSecretState`].
    TicketSecret,
    /// `caa/issuers`, whose value is a [`CaaState`].
    Caa,
}

/// A key unknown to this version: skipped and counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown key `{0}`")]
pub struct UnknownKey(String);

impl FromStr for Key {
    type Err = UnknownKey;

    fn from_str(text: &str) -> Result<Self, UnknownKey> {
        let mut parts = text.split('/');
        let key = (|| match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
            ("channel", site, Some(channel), None) => Some(Self::Channel(site.parse().ok()?, channel.parse().ok()?)),
            ("rollout", site, Some(channel), None) => Some(Self::Rollout(site.parse().ok()?, channel.parse().ok()?)),
            ("release", site, Some(number), None) => Some(Self::Release(site.parse().ok()?, number.parse().ok()?)),
            ("edge", edge, None, None) => Some(Self::Edge(edge.parse().ok()?)),
            ("site", site, None, None) => Some(Self::Site(site.parse().ok()?)),
            ("domain", domain, None, None) => Some(Self::Domain(domain.parse().ok()?)),
            ("purge", site, None, None) => Some(Self::Purge(site.parse().ok()?)),
            ("erased", site, Some(content), None) => Some(Self::Erased(site.parse().ok()?, content.parse().ok()?)),
            ("certificate", domain, None, None) => Some(Self::Certificate(domain.parse().ok()?)),
            ("challenge", domain, None, None) => Some(Self::Challenge(domain.parse().ok()?)),
            ("secret", "tickets", None, None) => Some(Self::TicketSecret),
            ("caa", "issuers", None, None) => Some(Self::Caa),
            _ => None,
        })();
        key.ok_or_else(|| UnknownKey(text.to_owned()))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Channel(site, channel) => write!(formatter, "channel/{site}/{channel}"),
            Self::Rollout(site, channel) => write!(formatter, "rollout/{site}/{channel}"),
            Self::Release(site, number) => write!(formatter, "release/{site}/{number}"),
            Self::Edge(edge) => write!(formatter, "edge/{edge}"),
            Self::Site(site) => write!(formatter, "site/{site}"),
            Self::Domain(domain) => write!(formatter, "domain/{domain}"),
            Self::Purge(site) => write!(formatter, "purge/{site}"),
            Self::Erased(site, content) => write!(formatter, "erased/{site}/{content}"),
            Self::Certificate(domain) => write!(formatter, "certificate/{domain}"),
            Self::Challenge(domain) => write!(formatter, "challenge/{domain}"),
            Self::TicketSecret => formatter.write_str("secret/tickets"),
            Self::Caa => formatter.write_str("caa/issuers"),
        }
    }
}

/// Value of the key `channel/<site>/<channel>`: the release that a channel points at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChannelState {
    /// The write that last moved the channel. Edges refuse an epoch lower than the one they applied.
    pub epoch: Seq,
    /// The release it points at.
    pub release: ReleaseNumber,
    /// That release's manifest.
    pub manifest: Digest,
    /// Manifests whose fingerprinted files are served at paths where the release has no file, the most recent first: for tabs opened
    /// before the switch.
    #[serde(default)]
    pub inherits: Vec<Inherited>,
}

/// Value of the key `rollout/<site>/<channel>`: a release that the channel is about to point at. Edges fetch what they lack of it and
/// report that they are prepared. The write that moves the channel, or abandons the rollout, deletes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RolloutState {
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// The epoch that the channel has until it moves; `None`: it does not exist yet.
    pub expected: Option<Seq>,
    /// Of the request that began it, so that a repeated request finds it.
    #[serde(default)]
    pub idempotency_key: Option<IdempotencyKey>,
    /// When it began, by the origin's clock.
    #[serde(default)]
    pub started: Timestamp,
    /// How the release is tried on a few edges first; `None`: it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub canary: Option<Canary>,
    /// Who began it, if that is not the author of the release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
}

/// Value of the key `release/<site>/<release>`: a release that exists, whether a channel points at it or not. It is served at the host of
/// its manifest, see [`ReleaseLabel`](crate::host::ReleaseLabel).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseState {
    /// Its manifest.
    pub manifest: Digest,
}

/// Value of the key `erased/<site>/<digest>`: a content that the site does not serve any more, whatever release has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErasedState {
    /// When it was erased, by the origin's clock.
    pub when: Timestamp,
    /// A path where the site had it.
    pub path: SitePath,
    /// Its blobs, and those of its encodings, that nothing else needs. Edges remove them.
    #[serde(default)]
    pub blobs: Vec<Digest>,
}

/// A manifest of an earlier release of the channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inherited {
    /// The manifest.
    pub manifest: Digest,
    /// When the origin, by its own clock, stops letting it be inherited. Edges do not compare it with theirs: the origin writes the
    /// row again without it.
    pub until: Timestamp,
    /// Paths that are not inherited from it: they were purged since the channel last pointed at it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<PurgeScope>,
}

impl Inherited {
    /// A manifest of which all fingerprinted files are inherited.
    pub fn new(manifest: Digest, until: Timestamp) -> Self {
        Self { manifest, until, without: Vec::new() }
    }
}

impl ChannelState {
    /// All manifests needed to serve the channel, the release's own first.
    pub fn manifests(&self) -> impl Iterator<Item = Digest> + '_ {
        std::iter::once(self.manifest).chain(self.inherits.iter().map(|inherited| inherited.manifest))
    }
}

/// A parsed row. The value is `None` for a tombstone.
#[derive(Debug, Clone, PartialEq)]
pub enum ParsedRow {
    /// A channel.
    Channel(HostLabel, Option<ChannelState>),
    /// A rollout.
    Rollout(HostLabel, Option<RolloutState>),
    /// A release.
    Release(SiteName, ReleaseNumber, Option<ReleaseState>),
    /// An edge's configuration.
    Edge(EdgeName, Option<EdgeState>),
    /// A site's settings, for all its channels.
    Site(SiteName, Option<SiteState>),
    /// A proven domain.
    Domain(DomainName, Option<DomainState>),
    /// The purges of a site.
    Purge(SiteName, Option<PurgeState>),
    /// A content that a site must not serve.
    Erased(SiteName, Digest, Option<ErasedState>),
    /// A certificate.
    Certificate(DomainName, Option<CertificateState>),
    /// How a domain's challenges are answered.
    Challenge(DomainName, Option<ChallengeState>),
    /// The secret of session tickets.
    TicketSecret(Option<TicketSecretState>),
    /// Who may issue certificates.
    Caa(Option<CaaState>),
}

/// Why a row cannot be parsed.
#[derive(Debug, thiserror::Error)]
pub enum RowError {
    /// Its key is unknown to this version.
    #[error(transparent)]
    UnknownKey(#[from] UnknownKey),
    /// Its value is not valid for the key.
    #[error("invalid value of `{key}`")]
    Value {
        /// The key.
        key: String,
        /// The cause.
        source: serde_json::Error,
    },
}

impl Row {
    /// Parses the row.
    pub fn parse(&self) -> Result<ParsedRow, RowError> {
        Ok(match self.key.parse()? {
            Key::Channel(site, channel) => ParsedRow::Channel(HostLabel { site, channel }, self.read()?),
            Key::Rollout(site, channel) => ParsedRow::Rollout(HostLabel { site, channel }, self.read()?),
            Key::Release(site, number) => ParsedRow::Release(site, number, self.read()?),
            Key::Edge(edge) => ParsedRow::Edge(edge, self.read()?),
            Key::Site(site) => ParsedRow::Site(site, self.read()?),
            Key::Domain(domain) => ParsedRow::Domain(domain, self.read()?),
            Key::Purge(site) => ParsedRow::Purge(site, self.read()?),
            Key::Erased(site, content) => ParsedRow::Erased(site, content, self.read()?),
            Key::Certificate(domain) => ParsedRow::Certificate(domain, self.read()?),
            Key::Challenge(domain) => ParsedRow::Challenge(domain, self.read()?),
            Key::TicketSecret => ParsedRow::TicketSecret(self.read()?),
            Key::Caa => ParsedRow::Caa(self.read()?),
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
    fn key_has_one_text_form() {
        for text in [
            "channel/demo/pr-12",
            "rollout/demo/live",
            "release/demo/v42",
            "edge/fra-1",
            "site/demo",
            "domain/www.example.com",
            "purge/demo",
            "certificate/sites.example.com",
            "challenge/www.example.com",
            "secret/tickets",
        ] {
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
            "release/demo/42",
            "release/demo",
            "certificate/*.example.com",
            "secret/other",
        ] {
            assert!(unknown.parse::<Key>().is_err(), "{unknown}");
        }
    }

    #[test]
    fn inherited_manifest_of_an_older_origin_is_without_nothing() {
        let text = format!(r#"{{"manifest":"{}","until":5}}"#, Digest::of(b"m"));
        let inherited: Inherited = serde_json::from_str(&text).unwrap();
        assert_eq!(inherited, Inherited::new(Digest::of(b"m"), Timestamp(5)));
        assert_eq!(serde_json::to_string(&inherited).unwrap(), text);
    }

    #[test]
    fn row_is_parsed_according_to_its_key() {
        let value = serde_json::json!({
            "epoch": 7, "release": "v2", "manifest": Digest::of(b"m"), "a field from the future": true,
        });
        let Ok(ParsedRow::Channel(label, state)) = row("channel/demo/live", value).parse() else { panic!("a channel") };
        assert_eq!(label.to_string(), "demo");
        assert_eq!(state.unwrap().release, ReleaseNumber(2));
        assert!(matches!(row("moon/full", 1.into()).parse(), Err(RowError::UnknownKey(_))));
        assert!(matches!(row("channel/demo/live", 1.into()).parse(), Err(RowError::Value { .. })));
    }
}
