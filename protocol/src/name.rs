//! Names of sites, channels, edges, nodes, regions and builds.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;

/// Why text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing there.
    #[error("the name of {kind} cannot be empty")]
    Empty {
        /// What was to be named, with its article.
        kind: &'static str,
    },
    /// Too long for its place in a host name.
    #[error("`{name}` is too long for the name of {kind}: at most {most} characters")]
    TooLong {
        /// What was to be named, with its article.
        kind: &'static str,
        /// The text.
        name: String,
        /// The limit.
        most: usize,
    },
    /// Something a host name cannot hold, or `--`, which parts a channel from its site.
    #[error("`{name}` cannot name {kind}: use a-z, 0-9 and single hyphens inside")]
    Characters {
        /// What was to be named, with its article.
        kind: &'static str,
        /// The text.
        name: String,
    },
    /// It would read as something else in a host name or on the command line.
    #[error("`{name}` cannot name {kind}: it reads like {reads_like}")]
    Reserved {
        /// What was to be named, with its article.
        kind: &'static str,
        /// The text.
        name: String,
        /// What it would be taken for.
        reads_like: &'static str,
    },
}

fn check(kind: &'static str, name: &str, most: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if name.len() > most {
        return Err(NameError::TooLong { kind, name: name.to_owned(), most });
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(allowed) || name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err(NameError::Characters { kind, name: name.to_owned() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $most:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// The most characters one may have.
            pub const MAX: usize = $most;

            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = NameError;

            fn from_str(name: &str) -> Result<Self, NameError> {
                check($kind, name, Self::MAX)?;
                let reserved: fn(&str) -> Option<&'static str> = $reserved;
                match reserved(name) {
                    Some(reads_like) => Err(NameError::Reserved { kind: $kind, name: name.to_owned(), reads_like }),
                    None => Ok(Self(name.into())),
                }
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(&self.0)
            }
        }

        serde_as_text!($type);
    };
}

name! {
    /// Names a site; the first label of its host name. 40 characters at most, so that every `<channel>--<site>` fits the 63
    /// characters of a DNS label (RFC 1035 §2.3.4).
    SiteName, "a site", 40, |_| None
}

name! {
    /// Names a channel of a site: `live`, or a preview such as `pr-12`. 21 characters at most (see [`SiteName`]).
    ChannelName, "a channel", 21, |name| match name {
        _ if name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => Some("a release's host"),
        _ if name.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) => Some("a release"),
        _ => None,
    }
}

name! {
    /// Names an edge in the fleet, e.g. `fra-1`.
    EdgeName, "an edge", 63, |_| None
}

name! {
    /// Names a GeoDNS node, e.g. `ns-1`.
    NameServerName, "a node", 63, |_| None
}

name! {
    /// Names a region that edges are in and sites may be fenced to: a continent, a country, or whatever else the operator
    /// parts the world by. `eu`, `de`.
    Region, "a region", 20, |_| None
}

name! {
    /// Names a build between its creation and its release. Chosen by the origin.
    BuildId, "a build", 63, |_| None
}

impl ChannelName {
    /// The channel that a site's own host serves.
    pub const LIVE: &'static str = "live";

    /// The channel that a site's own host serves.
    pub fn live() -> Self {
        Self(Self::LIVE.into())
    }

    /// Whether it is the channel that a site's own host serves.
    pub fn is_live(&self) -> bool {
        self.as_str() == Self::LIVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_a_host() {
        for good in ["a", "demo", "my-site-2", "0"] {
            assert_eq!(good.parse::<SiteName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a.b", "ä", "a/b", "a b", "xn--bcher-kva"] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad}");
        }
        let error = "Bad_Name".parse::<EdgeName>().unwrap_err();
        assert_eq!(error.to_string(), "`Bad_Name` cannot name an edge: use a-z, 0-9 and single hyphens inside");
        assert!("a".repeat(SiteName::MAX).parse::<SiteName>().is_ok());
        assert!("a".repeat(SiteName::MAX + 1).parse::<SiteName>().is_err());
    }

    #[test]
    fn a_channel_never_reads_like_a_release() {
        for bad in ["v1", "v42", "v", "0123456789abcdef"] {
            assert!(matches!(bad.parse::<ChannelName>(), Err(NameError::Reserved { .. })), "{bad}");
        }
        for good in ["live", "pr-12", "v1-beta", "vienna"] {
            assert!(good.parse::<ChannelName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn every_channel_of_every_site_fits_a_dns_label() {
        const { assert!(SiteName::MAX + "--".len() + ChannelName::MAX <= 63) }
    }
}
