//! Release numbers.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;

/// The number of a release within its site, from 1 and strictly increasing. Its text form is `v42`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReleaseNumber(pub u64);

/// The text is not a release number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid release `{0}`: expected `v` and a number, such as v42")]
pub struct ReleaseNumberError(String);

impl FromStr for ReleaseNumber {
    type Err = ReleaseNumberError;

    fn from_str(text: &str) -> Result<Self, ReleaseNumberError> {
        text.strip_prefix('v')
            .filter(|digits| !digits.starts_with(['+', '0']))
            .and_then(|digits| digits.parse().ok())
            .map(Self)
            .ok_or_else(|| ReleaseNumberError(text.to_owned()))
    }
}

impl fmt::Display for ReleaseNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "v{}", self.0)
    }
}

serde_as_text!(ReleaseNumber);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn release_number_has_one_text_form() {
        assert_eq!("v42".parse(), Ok(ReleaseNumber(42)));
        assert_eq!(ReleaseNumber(42).to_string(), "v42");
        for bad in ["", "v", "42", "v0", "v042", "v+1", "v-1", "v1x", "V1"] {
            assert!(bad.parse::<ReleaseNumber>().is_err(), "{bad}");
        }
    }
}
