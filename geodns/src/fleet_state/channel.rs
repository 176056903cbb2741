//! Channels: a name server only needs to know that they exist.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use verge_protocol::host::HostLabel;
use verge_protocol::name::NameError;
use verge_protocol::{ChannelName, SiteName};

/// A channel of a site. Small and cheap to clone: there may be a hundred thousand, in several snapshots at once.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel(Arc<str>);

impl Channel {
    /// The live channel of a site.
    pub(crate) fn live(site: &SiteName) -> Self {
        Self::new(site, &ChannelName::live())
    }

    pub(crate) fn new(site: &SiteName, channel: &ChannelName) -> Self {
        Self(format!("{site}/{channel}").into())
    }

    /// Its host label below a base domain.
    pub(crate) fn label(&self) -> HostLabel {
        parse_label(&self.0).expect("it was built from names or parsed")
    }
}

fn parse_label(text: &str) -> Result<HostLabel, NameError> {
    let (site, channel) = text.split_once('/').unwrap_or((text, ""));
    Ok(HostLabel { site: site.parse()?, channel: channel.parse()? })
}

/// `<site>/<channel>`
impl fmt::Display for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Parses `<site>/<channel>`.
impl FromStr for Channel {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        parse_label(text).map(|_| Self(text.into()))
    }
}

impl Serialize for Channel {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Channel {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips_and_malformed_text_is_rejected() {
        for (text, label) in [("demo/live", "demo"), ("demo/pr-12", "pr-12--demo")] {
            let channel: Channel = text.parse().unwrap();
            let HostLabel { site, channel: name } = channel.label();
            assert_eq!((Channel::new(&site, &name), channel.label().to_string()), (channel.clone(), label.to_owned()));
            let json = serde_json::to_string(&channel).unwrap();
            assert_eq!((serde_json::from_str::<Channel>(&json).unwrap(), json), (channel, format!("\"{text}\"")));
        }
        assert_eq!(Channel::live(&"demo".parse().unwrap()), "demo/live".parse().unwrap());
        for bad in ["", "demo", "demo/", "/live", "demo/live/x", "demo/v1", "Demo/live"] {
            assert!(bad.parse::<Channel>().is_err(), "{bad}");
        }
    }
}
