//! Join codes: all that a new machine needs to become a part of a fleet, in one word.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;

use crate::api::TokenOwner;
use crate::digest::Digest;
use crate::key_pin::KeyPin;
use crate::serde_text::serde_as_text;

const PREFIX: &str = "vrgj_";
/// The version of the format, its first byte.
const VERSION: u8 = 1;
const CHECKSUM_LEN: usize = 4;
const SECRET_LEN: usize = 32;

/// What `verge-edge join` and `verge-geodns join` take.
///
/// Its text form is `vrgj_` and base64url of: the version (1), the secret, one byte that is 1 if a pin follows, the pin, the owner and the
/// URLs as lines of UTF-8, and the first four bytes of the SHA-256 of all that. By the checksum a truncated code is detected
/// without a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinCode {
    /// What the machine becomes: an edge or a name server.
    pub owner: TokenOwner,
    /// The URLs of the origins, in the order in which they are tried.
    pub origins: Vec<String>,
    /// The pin of their key; `None`: they are verified by name.
    pub pin: Option<KeyPin>,
    /// What is exchanged for a token.
    pub secret: JoinSecret,
}

/// 256 random bits that an origin exchanges for a token, once. Not printed by `Debug`; its text form is 64 hex digits.
#[derive(Clone, PartialEq, Eq)]
pub struct JoinSecret(Digest);

/// Why a text is not a join code. No variant holds the text, which may be most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JoinCodeError {
    /// It is something else.
    #[error("invalid join code: expected it to start with `{PREFIX}`")]
    Prefix,
    /// It is truncated, or a character is wrong.
    #[error("incomplete join code: its checksum does not match; copy the whole command again")]
    Incomplete,
    /// It is of another version.
    #[error("unsupported join code: it was made by another version of Verge; use the same version on both machines")]
    Version,
}

impl JoinSecret {
    /// The secret of these random bytes.
    pub const fn new(random: [u8; SECRET_LEN]) -> Self {
        Self(Digest::from_bytes(random))
    }

    /// Under what the origin knows it.
    pub fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }
}

impl fmt::Display for JoinSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(formatter)
    }
}

impl fmt::Debug for JoinSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JoinSecret(…)")
    }
}

impl FromStr for JoinSecret {
    type Err = crate::digest::DigestError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

serde_as_text!(JoinSecret);

/// Shows the secret: that is what a code is for.
impl fmt::Display for JoinCode {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut bytes = vec![VERSION];
        bytes.extend(self.secret.0.as_bytes());
        bytes.push(self.pin.is_some().into());
        if let Some(pin) = &self.pin {
            bytes.extend(pin.digest().as_bytes());
        }
        let owner = match &self.owner {
            TokenOwner::Admin => "admin".to_owned(),
            TokenOwner::Edge(name) => format!("edge {name}"),
            TokenOwner::NameServer(name) => format!("name-server {name}"),
        };
        bytes.extend(owner.bytes());
        for origin in &self.origins {
            bytes.push(b'\n');
            bytes.extend(origin.bytes());
        }
        bytes.extend(checksum(&bytes));
        write!(formatter, "{PREFIX}{}", BASE64.encode(bytes))
    }
}

impl FromStr for JoinCode {
    type Err = JoinCodeError;

    fn from_str(text: &str) -> Result<Self, JoinCodeError> {
        let encoded = text.trim().strip_prefix(PREFIX).ok_or(JoinCodeError::Prefix)?;
        let bytes = BASE64.decode(encoded).map_err(|_| JoinCodeError::Incomplete)?;
        let (content, sum) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(JoinCodeError::Incomplete)?;
        if *sum != checksum(content) {
            return Err(JoinCodeError::Incomplete);
        }
        parse(content).ok_or(JoinCodeError::Version)
    }
}

/// Parses what the checksum is of; `None` if it is of another version.
fn parse(content: &[u8]) -> Option<JoinCode> {
    let (version, rest) = content.split_first()?;
    let (secret, rest) = rest.split_first_chunk::<SECRET_LEN>()?;
    let (has_pin, rest) = rest.split_first()?;
    let (pin, rest) = match (version, has_pin) {
        (&VERSION, 0) => (None, rest),
        (&VERSION, 1) => {
            let (pin, rest) = rest.split_first_chunk::<{ Digest::LEN }>()?;
            (Some(KeyPin::new(Digest::from_bytes(*pin))), rest)
        }
        _ => return None,
    };
    let mut lines = std::str::from_utf8(rest).ok()?.lines();
    let owner = match lines.next()?.split_once(' ')? {
        ("edge", name) => TokenOwner::Edge(name.parse().ok()?),
        ("name-server", name) => TokenOwner::NameServer(name.parse().ok()?),
        _ => return None,
    };
    let origins = lines.map(str::to_owned).collect();
    Some(JoinCode { owner, origins, pin, secret: JoinSecret::new(*secret) })
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM_LEN] {
    *Digest::of(bytes).as_bytes().first_chunk().expect("a digest is longer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code() -> JoinCode {
        JoinCode {
            owner: TokenOwner::Edge("fra-1".parse().unwrap()),
            origins: vec!["https://203.0.113.1:7443".to_owned(), "https://origin.example.net".to_owned()],
            pin: Some(KeyPin::new(Digest::of(b"key"))),
            secret: JoinSecret::new([7; SECRET_LEN]),
        }
    }

    #[test]
    fn code_survives_its_text_form() {
        let name_server = JoinCode { owner: TokenOwner::NameServer("ns-1".parse().unwrap()), pin: None, ..code() };
        for code in [code(), name_server] {
            let text = code.to_string();
            assert_eq!(text.parse(), Ok(code));
            assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-'), "{text}");
        }
        assert!(code().to_string().len() < 220, "{}", code());
    }

    #[test]
    fn truncated_and_mistyped_codes_are_incomplete() {
        let text = code().to_string();
        for length in PREFIX.len()..text.len() {
            assert_eq!(text[..length].parse::<JoinCode>(), Err(JoinCodeError::Incomplete), "{length}");
            let other = if text.as_bytes()[length] == b'A' { "B" } else { "A" };
            let mistyped = format!("{}{other}{}", &text[..length], &text[length + 1..]);
            assert_eq!(mistyped.parse::<JoinCode>(), Err(JoinCodeError::Incomplete), "{length}");
        }
        assert_eq!("vrg_00".parse::<JoinCode>(), Err(JoinCodeError::Prefix));
    }

    #[test]
    fn code_of_another_version_or_owner_is_unsupported() {
        for content in [&[2_u8; 80][..], &[1], b""] {
            let bytes = [content, &checksum(content)].concat();
            assert_eq!(
                format!("{PREFIX}{}", BASE64.encode(bytes)).parse::<JoinCode>(),
                Err(JoinCodeError::Version),
                "{content:?}"
            );
        }
        let admin = JoinCode { owner: TokenOwner::Admin, ..code() };
        assert_eq!(admin.to_string().parse::<JoinCode>(), Err(JoinCodeError::Version));
    }

    #[test]
    fn debug_omits_the_secret() {
        let code = code();
        assert!(!format!("{code:?}").contains(&code.secret.to_string()));
    }
}
