//! Pins, by which clients recognize the key of a server.

use std::fmt;
use std::str::FromStr;

use crate::digest::Digest;
use crate::serde_text::serde_as_text;

const PREFIX: &str = "sha256:";

/// The SHA-256 of the `SubjectPublicKeyInfo` of a server's key (RFC 7469 §2.4), whatever its certificate says.
///
/// Its text form is `sha256:` and 64 lowercase hex digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct KeyPin(Digest);

/// The text is not a pin.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid pin `{0}`: expected `sha256:` and 64 lowercase hex digits, as `verge-origin pin` prints it")]
pub struct KeyPinError(String);

impl KeyPin {
    /// The pin of the key with this digest of its `SubjectPublicKeyInfo`.
    pub const fn new(key: Digest) -> Self {
        Self(key)
    }

    /// The digest.
    pub const fn digest(self) -> Digest {
        self.0
    }
}

impl FromStr for KeyPin {
    type Err = KeyPinError;

    fn from_str(text: &str) -> Result<Self, KeyPinError> {
        let digits = text.strip_prefix(PREFIX).and_then(|digits| digits.parse().ok());
        digits.map(Self).ok_or_else(|| KeyPinError(text.to_owned()))
    }
}

impl fmt::Display for KeyPin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{PREFIX}{}", self.0)
    }
}

impl fmt::Debug for KeyPin {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

serde_as_text!(KeyPin);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pin_survives_its_text_form_and_other_texts_are_rejected() {
        let pin = KeyPin::new(Digest::of(b"key"));
        let text = pin.to_string();
        assert_eq!((text.len(), text.parse()), (71, Ok(pin)));
        for bad in ["", "sha256:", &text[7..], &text[..70], &text.to_uppercase(), &format!("{text}0")] {
            assert_eq!(bad.parse::<KeyPin>(), Err(KeyPinError(bad.to_owned())));
        }
    }
}
