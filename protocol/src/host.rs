//! Host names under a base domain: the site and channel that a label selects.

use std::fmt;
use std::str::FromStr;

use crate::name::{ChannelName, NameError, SiteName};

/// The DNS label under the base domain that selects a channel of a site: `demo` is `live`, `pr-12--demo` a preview.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostLabel {
    /// The site.
    pub site: SiteName,
    /// The channel of the site.
    pub channel: ChannelName,
}

impl FromStr for HostLabel {
    type Err = NameError;

    fn from_str(label: &str) -> Result<Self, NameError> {
        match label.split_once("--") {
            Some((channel, site)) => Ok(Self { site: site.parse()?, channel: channel.parse()? }),
            None => Ok(Self { site: label.parse()?, channel: ChannelName::live() }),
        }
    }
}

impl fmt::Display for HostLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.channel.is_live() {
            self.site.fmt(formatter)
        } else {
            write!(formatter, "{}--{}", self.channel, self.site)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_parses_to_site_and_channel() {
        for (label, site, channel) in [("demo", "demo", "live"), ("pr-12--demo", "demo", "pr-12")] {
            let parsed: HostLabel = label.parse().unwrap();
            assert_eq!((parsed.site.as_str(), parsed.channel.as_str()), (site, channel));
            assert_eq!(parsed.to_string(), label);
        }
        for bad in ["", "a--b--c", "--demo", "pr--", "Demo", "a.b"] {
            assert!(bad.parse::<HostLabel>().is_err(), "{bad}");
        }
    }
}
