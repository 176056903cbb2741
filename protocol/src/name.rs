//! Names of sites, channels, edges, name servers, regions and builds.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;

/// Why a text is not a valid name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is empty.
    #[error("the {kind} name must not be empty")]
    Empty {
        /// The kind of thing named.
        kind: &'static str,
    },
    /// It does not fit into a DNS label.
    #[error("{kind} name `{name}` is too long: expected at most {max} characters")]
    TooLong {
        /// The kind of thing named.
        kind: &'static str,
        /// The text.
        name: String,
        /// The limit.
        max: usize,
    },
    /// It has a character not allowed in host names, or `--`, which separates the channel from the site.
    #[error("invalid {kind} name `{name}`: expected a-z, 0-9 and single hyphens between them")]
    Characters {
        /// The kind of thing named.
        kind: &'static str,
        /// The text.
        name: String,
    },
    /// It would be ambiguous in a host name or on the command line.
    #[error("invalid {kind} name `{name}`: it looks like {looks_like}; use another one, such as `{name}-1`")]
    Reserved {
        /// The kind of thing named.
        kind: &'static str,
        /// The text.
        name: String,
        /// What it would be confused with.
        looks_like: &'static str,
    },
}

fn check(kind: &'static str, name: &str, max: usize) -> Result<(), NameError> {
    if name.is_empty() {
        return Err(NameError::Empty { kind });
    }
    if name.len() > max {
        return Err(NameError::TooLong { kind, name: name.to_owned(), max });
    }
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if !name.bytes().all(allowed) || name.starts_with('-') || name.ends_with('-') || name.contains("--") {
        return Err(NameError::Characters { kind, name: name.to_owned() });
    }
    Ok(())
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $kind:literal, $max:literal, $reserved:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $type(Box<str>);

        impl $type {
            /// Maximum length, in characters.
            pub const MAX: usize = $max;

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
                    Some(looks_like) => Err(NameError::Reserved { kind: $kind, name: name.to_owned(), looks_like }),
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
    /// The name of a site, the first label of its host name. At most 40 characters, so that every `<channel>--<site>` fits the 63
    /// characters of a DNS label (RFC 1035 §2.3.4).
    SiteName, "site", 40, |_| None
}

name! {
    /// The name of a channel of a site: `live`, or a preview such as `pr-12`. At most 21 characters (see [`SiteName`]).
    ChannelName, "channel", 21, |name| match name {
        _ if name.len() == 16 && name.bytes().all(|byte| byte.is_ascii_hexdigit()) => Some("a release's host"),
        _ if name.strip_prefix('v').is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())) => Some("a release"),
        // The host label would be an A-label (RFC 5890 §2.3.2.1).
        "xn" => Some("the prefix of an internationalized domain name"),
        _ => None,
    }
}

name! {
    /// The name of an edge in the fleet, e.g. `fra-1`.
    EdgeName, "edge", 63, |_| None
}

name! {
    /// The name of a name server (a `verge-geodns` process), e.g. `ns-1`.
    NameServerName, "name server", 63, |_| None
}

name! {
    /// The name of a region, to which edges belong and sites may be restricted: a continent, a country, or any other division that the
    /// operator chooses, e.g. `eu`, `de`.
    Region, "region", 20, |_| None
}

name! {
    /// The id of a build between its creation and its release, chosen by the origin.
    BuildId, "build", 63, |_| None
}

name! {
    /// A client's name for one attempt to push or to move a channel, chosen at random: see
    /// [`CreateRelease`](crate::api::CreateRelease).
    IdempotencyKey, "idempotency key", 63, |_| None
}

impl ChannelName {
    /// The channel that a site's own host name serves.
    pub const LIVE: &'static str = "live";

    /// The channel that a site's own host name serves.
    pub fn live() -> Self {
        Self(Self::LIVE.into())
    }

    /// The lowest channel name.
    pub fn lowest() -> Self {
        Self("0".into())
    }

    /// Whether this is the channel that a site's own host name serves.
    pub fn is_live(&self) -> bool {
        self.as_str() == Self::LIVE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn name_is_dns_label_without_double_hyphen() {
        for good in ["a", "demo", "my-site-2", "0"] {
            assert_eq!(good.parse::<SiteName>().map(|name| name.to_string()), Ok(good.to_owned()));
        }
        for bad in ["", "-a", "a-", "a--b", "A", "a.b", "ä", "a/b", "a b", "xn--bcher-kva"] {
            assert!(bad.parse::<SiteName>().is_err(), "{bad}");
        }
        let error = "Bad_Name".parse::<EdgeName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "invalid edge name `Bad_Name`: expected a-z, 0-9 and single hyphens between them"
        );
        assert!("a".repeat(SiteName::MAX).parse::<SiteName>().is_ok());
        assert!("a".repeat(SiteName::MAX + 1).parse::<SiteName>().is_err());
    }

    #[test]
    fn channel_name_that_is_ambiguous_in_a_host_or_a_command_is_rejected() {
        for bad in ["v1", "v42", "v", "0123456789abcdef", "xn"] {
            assert!(matches!(bad.parse::<ChannelName>(), Err(NameError::Reserved { .. })), "{bad}");
        }
        let error = "xn".parse::<ChannelName>().unwrap_err().to_string();
        let suggested = error.rsplit('`').nth(1).unwrap();
        assert!(error.contains("internationalized domain name") && suggested.parse::<ChannelName>().is_ok(), "{error}");
        for good in ["live", "pr-12", "v1-beta", "vienna", "xn-1", "xna"] {
            assert!(good.parse::<ChannelName>().is_ok(), "{good}");
        }
    }

    #[test]
    fn lowest_channel_name_is_a_name_and_below_all_others() {
        let lowest = ChannelName::lowest();
        assert_eq!(lowest.as_str().parse(), Ok(lowest.clone()));
        let lower = ["-", "-0", "", "/"].map(str::parse::<ChannelName>);
        assert!(lower.iter().all(Result::is_err) && lowest < "00".parse().unwrap() && lowest < ChannelName::live());
    }

    #[test]
    fn longest_channel_and_site_fit_dns_label() {
        const { assert!(SiteName::MAX + "--".len() + ChannelName::MAX <= 63) }
    }
}
