//! Channels, of which the name server needs to know no more than that they are there.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use verge_protocol::host::HostLabel;
use verge_protocol::name::NameError;
use verge_protocol::{ChannelName, SiteName};

/// A channel of a site. There may be a hundred thousand, in several tables at once: it is small, and to copy it copies no text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Channel(Arc<str>);

impl Channel {
    /// What a site's own host serves.
    pub(crate) fn live(site: &SiteName) -> Self {
        Self::new(site, &ChannelName::live())
    }

    pub(super) fn new(site: &SiteName, channel: &ChannelName) -> Self {
        Self(format!("{site}/{channel}").into())
    }

    /// Where it is reached, under a base domain.
    pub(crate) fn label(&self) -> HostLabel {
        read(&self.0).expect("it is made of names, or was read")
    }
}

fn read(text: &str) -> Result<HostLabel, NameError> {
    let (site, channel) = text.split_once('/').unwrap_or((text, ""));
    Ok(HostLabel { site: site.parse()?, channel: channel.parse()? })
}

impl fmt::Debug for Channel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Reads `<site>/<channel>`.
impl FromStr for Channel {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        read(text).map(|_| Self(text.into()))
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
    fn it_has_one_text() {
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
