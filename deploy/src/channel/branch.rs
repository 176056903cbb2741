//! The channel name of a branch.

use std::fmt;
use std::str::FromStr;

use serde::Deserialize;
use verge_protocol::name::NameError;
use verge_protocol::{ChannelName, Digest};

/// Hex digits of the digest in a name: two branches with the same slug share a name with a chance of one in 268 million.
const HASH_LEN: usize = 7;

/// A channel as people write it: a channel name, which is used as it is, or the name of a branch such as `feature/login-2`, which is
/// [converted](slug).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ChannelArg {
    /// The channel.
    pub name: ChannelName,
    /// What was written, if that is no channel name.
    pub branch: Option<String>,
}

impl FromStr for ChannelArg {
    type Err = NameError;

    /// An error only for an empty text.
    fn from_str(text: &str) -> Result<Self, NameError> {
        match text.parse() {
            Ok(name) => Ok(Self { name, branch: None }),
            Err(error @ NameError::Empty { .. }) => Err(error),
            Err(_) => Ok(Self { name: slug(text), branch: Some(text.to_owned()) }),
        }
    }
}

impl TryFrom<String> for ChannelArg {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl fmt::Display for ChannelArg {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(formatter)
    }
}

/// A channel name for any text: its letters and digits in lowercase, shortened, then the first digits of the digest of the whole text, so
/// that `feature/login` and `feature-login` have different channels. The same text always has the same name.
pub fn slug(text: &str) -> ChannelName {
    let readable_max = ChannelName::MAX - "-".len() - HASH_LEN;
    let mut slug = String::new();
    for character in text.chars().map(|character| character.to_ascii_lowercase()) {
        if slug.len() == readable_max {
            break;
        }
        if character.is_ascii_alphanumeric() {
            slug.push(character);
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let readable = Some(slug.trim_end_matches('-')).filter(|readable| !readable.is_empty()).unwrap_or("branch");
    let hash = Digest::of(text.as_bytes()).to_string();
    let name = format!("{readable}-{}", &hash[..HASH_LEN]);
    name.parse().expect("letters, digits and single hyphens, one of them before the digest, within the limit")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn channel(text: &str) -> String {
        text.parse::<ChannelArg>().unwrap().to_string()
    }

    #[test]
    fn channel_name_is_used_as_it_is_and_other_text_is_converted() {
        for (text, expected) in [
            ("live", "live"),
            ("pr-12", "pr-12"),
            ("feature-login", "feature-login"),
            ("feature/login", "feature-login-df7c7ae"),
            ("feature/login-2", "feature-login-1d1e663"),
            ("Feature-Login", "feature-login-6626944"),
            ("v12", "v12-2ab8c63"),
            ("xn", "xn-ce48278"),
            ("日本", "branch-cf2abf0"),
        ] {
            assert_eq!(channel(text), expected);
        }
        assert!("".parse::<ChannelArg>().is_err());
    }

    #[test]
    fn similar_branches_have_different_channels() {
        let branches = [
            "feature/login",
            "feature-login",
            "feature_login",
            "feature--login",
            "Feature/login",
            "feature/login/",
            "feature/login-form",
            "feature/login-form-2",
            "feature/login.form",
            " feature/login",
        ];
        let mut names: Vec<String> = branches.map(channel).to_vec();
        names.sort();
        names.dedup();
        assert_eq!(names.len(), branches.len(), "{names:?}");
    }

    proptest! {
        #[test]
        fn every_text_has_one_valid_name(text in "\\PC{1,80}") {
            let name = channel(&text);
            prop_assert!(name.parse::<ChannelName>().is_ok());
            prop_assert_eq!(&name, &channel(&text));
            prop_assert_eq!(channel(&name), name);
        }

        #[test]
        fn branches_that_differ_in_one_character_have_different_channels(
            branch in "[a-z0-9/_-]{1,40}", at in any::<prop::sample::Index>(), other in "[A-Za-z0-9/_.-]",
        ) {
            let at = at.index(branch.len());
            let changed = format!("{}{other}{}", &branch[..at], &branch[at + 1..]);
            if changed != branch {
                prop_assert_ne!(channel(&branch), channel(&changed));
            }
        }

        #[test]
        fn slug_is_never_live_nor_its_own_text(text in "\\PC{0,40}") {
            let name = slug(&text);
            prop_assert!(!name.is_live());
            prop_assert_ne!(name.as_str(), text.as_str());
        }
    }
}
