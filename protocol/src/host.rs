//! Host names under a base domain: the channel or release of a site that a label selects.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
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

/// The DNS label under the base domain that selects one release of a site, whatever its channels point at:
/// `0123456789abcdef--demo`. It is no [`HostLabel`], because no channel has such a name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ReleaseLabel {
    /// The site.
    pub site: SiteName,
    /// The first 64 bits of the digest of the release's manifest.
    pub prefix: u64,
}

/// The text is no label of a release.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid label of a release `{0}`: expected 16 lowercase hex digits, `--` and a site")]
pub struct ReleaseLabelError(String);

impl ReleaseLabel {
    /// The number of hex digits before `--`.
    const DIGITS: usize = 16;

    /// The label of the release of `site` with this manifest.
    pub fn new(site: SiteName, manifest: Digest) -> Self {
        let (prefix, _) = manifest.as_bytes().split_first_chunk().expect("a digest has 32 bytes");
        Self { site, prefix: u64::from_be_bytes(*prefix) }
    }
}

impl FromStr for ReleaseLabel {
    type Err = ReleaseLabelError;

    fn from_str(label: &str) -> Result<Self, ReleaseLabelError> {
        let parse = || {
            let (prefix, site) = label.split_once("--")?;
            let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let prefix = Some(prefix).filter(|prefix| prefix.len() == Self::DIGITS && prefix.bytes().all(is_hex))?;
            Some(Self { site: site.parse().ok()?, prefix: u64::from_str_radix(prefix, 16).ok()? })
        };
        parse().ok_or_else(|| ReleaseLabelError(label.to_owned()))
    }
}

impl fmt::Display for ReleaseLabel {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}--{}", self.prefix, self.site)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_label_has_one_text_form_and_is_no_channel() {
        let label = ReleaseLabel::new("demo".parse().unwrap(), Digest::of(b""));
        assert_eq!(label.to_string(), "e3b0c44298fc1c14--demo");
        for text in ["e3b0c44298fc1c14--demo", "0000000000000001--demo"] {
            assert_eq!(text.parse::<ReleaseLabel>().unwrap().to_string(), text);
            assert!(text.parse::<HostLabel>().is_err(), "{text}");
        }
        for bad in [
            "demo",
            "pr-12--demo",
            "E3B0C44298FC1C14--demo",
            "e3b0c44298fc1c1--demo",
            "e3b0c44298fc1c14--",
            "+3b0c44298fc1c14--demo",
            "e3b0c44298fc1c14--a--b",
            "e3b0c44298fc1c14-demo",
        ] {
            assert!(bad.parse::<ReleaseLabel>().is_err(), "{bad}");
        }
    }

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
