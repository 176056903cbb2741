//! Paths that are protected by passwords (HTTP Basic authentication, RFC 7617).

use std::collections::HashMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::bounded;
use super::header_pattern::HeaderPattern;

/// Paths that only some users may read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PasswordRule {
    /// The paths.
    #[serde(rename = "for")]
    pub pattern: HeaderPattern,
    /// Whether it applies only to previews and releases under hosts of their own, not to channel `live`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_previews: bool,
    /// Those who may read. A later rule for a path replaces an earlier one.
    #[serde(deserialize_with = "bounded::first::<_, _, USERS_READ>")]
    pub users: Vec<Credential>,
}

/// The users of a rule that are read: more than it may have now, and as many as older origins have taken in good faith.
const USERS_READ: usize = 10_000;

/// The longest user and password, in bytes, with the colon between them.
pub const USER_AND_PASSWORD_MAX: usize = 512;

impl PasswordRule {
    /// Whether these are the user and the password of one of its users. Takes the same time for each text of the same length; longer ones than
    /// [`USER_AND_PASSWORD_MAX`] are not hashed.
    pub fn admits(&self, user_and_password: &[u8]) -> bool {
        if user_and_password.len() > USER_AND_PASSWORD_MAX {
            return false;
        }
        // Users of one name have one salt.
        let mut digests: HashMap<&[u8; 16], [u8; 32]> = HashMap::new();
        self.users.iter().fold(false, |is_admitted, user| {
            let digest = digests.entry(&user.salt).or_insert_with(|| digest_of(&user.salt, user_and_password));
            is_admitted | user.has_digest(digest)
        })
    }
}

/// A user and a password, as a salted digest: `salt:digest`, both in hex.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Credential {
    salt: [u8; 16],
    digest: [u8; 32],
}

/// The text is no credential.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid credential: expected a salt of 32 and a digest of 64 hex digits, separated by a colon")]
pub struct CredentialError;

impl Credential {
    /// Of `user_and_password`, `user:password` as in the header (RFC 7617 §2).
    ///
    /// The salt depends on the site and the user, so that the same build is the same bytes, and the same password of two sites or users
    /// is not the same digest. A digest protects a good password from those who can read an edge's disk, not a guessable one.
    pub fn new(site: &str, user_and_password: &str) -> Self {
        let user = user_and_password.split(':').next().unwrap_or_default();
        let mut salt = [0; 16];
        let digest =
            Sha256::new().chain_update("verge credential\0").chain_update(site).chain_update("\0").chain_update(user);
        salt.copy_from_slice(&digest.finalize()[..16]);
        Self { salt, digest: digest_of(&salt, user_and_password.as_bytes()) }
    }

    /// Whether these are the user and the password. Takes the same time for each text of the same length.
    pub fn is(&self, user_and_password: &[u8]) -> bool {
        self.has_digest(&digest_of(&self.salt, user_and_password))
    }

    fn has_digest(&self, digest: &[u8; 32]) -> bool {
        digest.iter().zip(&self.digest).fold(0, |difference, (a, b)| difference | (a ^ b)) == 0
    }
}

fn digest_of(salt: &[u8; 16], text: &[u8]) -> [u8; 32] {
    Sha256::new().chain_update(salt).chain_update(text).finalize().into()
}

impl TryFrom<String> for Credential {
    type Error = CredentialError;

    fn try_from(text: String) -> Result<Self, CredentialError> {
        let (salt, digest) = text.split_once(':').ok_or(CredentialError)?;
        Ok(Self { salt: parse_hex(salt).ok_or(CredentialError)?, digest: parse_hex(digest).ok_or(CredentialError)? })
    }
}

fn parse_hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let is_hex = text.len() == 2 * N && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let mut bytes = [0; N];
    for (index, byte) in bytes.iter_mut().enumerate().filter(|_| is_hex) {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    is_hex.then_some(bytes)
}

impl From<Credential> for String {
    fn from(credential: Credential) -> Self {
        let bytes = credential.salt.iter().chain(&credential.digest);
        let mut text: Self = bytes
            .flat_map(|byte| [byte >> 4, byte & 15])
            .filter_map(|digit| char::from_digit(digit.into(), 16))
            .collect();
        text.insert(2 * credential.salt.len(), ':');
        text
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credential(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credential_recognizes_its_user_and_password_only() {
        let credential = Credential::new("demo", "ann:pä:ss");
        assert!(credential.is("ann:pä:ss".as_bytes()));
        for other in ["ann:", "ann:pä:s", "bob:pä:ss", ""] {
            assert!(!credential.is(other.as_bytes()), "{other}");
        }
        assert_eq!(credential, Credential::new("demo", "ann:pä:ss"));
        let text = |site, user| String::from(Credential::new(site, user));
        assert_ne!(text("demo", "ann:x")[33..], text("other", "ann:x")[33..]);
        assert_ne!(text("demo", "ann:x")[33..], text("demo", "bob:x")[33..]);
    }

    #[test]
    fn rule_admits_each_of_its_users_with_a_password_of_at_most_512_bytes() {
        let long = format!("ann:{}", "p".repeat(USER_AND_PASSWORD_MAX - 4));
        let too_long = format!("ann:{}", "p".repeat(USER_AND_PASSWORD_MAX - 3));
        let users = ["ann:x", "ann:y", "bob:z", &long, &too_long].map(|user| Credential::new("demo", user)).into();
        let rule = PasswordRule { pattern: "/*".parse().unwrap(), only_previews: false, users };
        for user in ["ann:x", "ann:y", "bob:z", &long] {
            assert!(rule.admits(user.as_bytes()), "{user}");
        }
        for user in ["ann:z", "bob:x", "", &too_long] {
            assert!(!rule.admits(user.as_bytes()), "{user}");
        }
    }

    #[test]
    fn credential_is_the_same_after_serialization_and_never_in_clear() {
        let credential = Credential::new("demo", "ann:secret");
        let json = serde_json::to_string(&credential).unwrap();
        assert_eq!(serde_json::from_str::<Credential>(&json).unwrap(), credential);
        assert!(!json.contains("secret") && !format!("{credential:?}").contains("secret"));
        for text in ["", "ab:cd", "zz"] {
            assert_eq!(Credential::try_from(text.to_owned()), Err(CredentialError));
        }
    }
}
