//! The syntax of access tokens: `vrg_`, 40 random digits and a checksum of 8 digits, in hex.
//!
//! By the checksum, every program detects a mistyped or truncated token without a request, and secret scanners recognize tokens.

use crate::digest::Digest;
use crate::placeholder::is_placeholder;

const PREFIX: &str = "vrg_";
const CHECKSUM_DIGITS: usize = 8;

/// The number of random digits in a token.
pub const RANDOM_DIGITS: usize = 40;

/// The length of a token in characters.
pub const LENGTH: usize = PREFIX.len() + RANDOM_DIGITS + CHECKSUM_DIGITS;

/// Why a text is not a token. No variant holds the text, which may be most of a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// There is nothing.
    #[error("the token is empty")]
    Empty,
    /// It is a web page, such as the error page of a proxy.
    #[error("expected a token, found an HTML page")]
    Html,
    /// It was never filled in.
    #[error("expected a token, found a placeholder")]
    Placeholder,
    /// It has white space within.
    #[error("expected a token alone, found several words or lines")]
    Several,
    /// It is something else.
    #[error("malformed token: expected it to start with `vrg_`")]
    Prefix,
    /// It is truncated, or something is appended to it.
    #[error("malformed token: expected {LENGTH} characters, found {0}")]
    Length(usize),
    /// A character is wrong.
    #[error("malformed token: its checksum does not match")]
    Checksum,
}

/// Checks that a text is a token, without white space around it. Whether an origin knows the token, only the origin can tell.
pub fn check(text: &str) -> Result<(), TokenError> {
    if text.is_empty() {
        return Err(TokenError::Empty);
    }
    let start = text.get(..9).unwrap_or(text).to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") || start.starts_with("<?xml") {
        return Err(TokenError::Html);
    }
    if text.contains(char::is_whitespace) {
        return Err(TokenError::Several);
    }
    if is_placeholder(text) {
        return Err(TokenError::Placeholder);
    }
    let digits = text.strip_prefix(PREFIX).ok_or(TokenError::Prefix)?;
    let length = text.chars().count();
    match digits.split_at_checked(RANDOM_DIGITS) {
        Some((random, sum)) if length == LENGTH && sum == checksum(random) => Ok(()),
        _ if length == LENGTH => Err(TokenError::Checksum),
        _ => Err(TokenError::Length(length)),
    }
}

/// The token of [`RANDOM_DIGITS`] random digits.
pub fn from_random_digits(random: &str) -> String {
    format!("{PREFIX}{random}{}", checksum(random))
}

fn checksum(random: &str) -> String {
    let mut digits = Digest::of(random.as_bytes()).to_string();
    digits.truncate(CHECKSUM_DIGITS);
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_accepted_and_each_mistake_is_named() {
        let token = from_random_digits(&"0123456789".repeat(4));
        assert_eq!(token, "vrg_0123456789012345678901234567890123456789fb526cd4");
        assert_eq!(check(&token), Ok(()));
        for (text, error) in [
            ("", TokenError::Empty),
            ("<!DOCTYPE html>\n<title>502</title>", TokenError::Html),
            ("<html><body>", TokenError::Html),
            ("<token>", TokenError::Placeholder),
            ("vrg_…", TokenError::Placeholder),
            ("CHANGE-ME", TokenError::Placeholder),
            (&format!("{token}\n{token}"), TokenError::Several),
            (&format!("{token} # of fra-1"), TokenError::Several),
            (&token[4..], TokenError::Prefix),
            ("hunter2", TokenError::Prefix),
            (&token[..51], TokenError::Length(51)),
            (&format!("{token}0"), TokenError::Length(53)),
            (&token.replacen('9', "6", 1), TokenError::Checksum),
            (&token.to_uppercase().replacen("VRG", "vrg", 1), TokenError::Checksum),
        ] {
            assert_eq!(check(text), Err(error), "{text}");
        }
    }

    #[test]
    fn text_that_is_not_ascii_is_not_a_token() {
        assert_eq!(check(&"ü".repeat(LENGTH)), Err(TokenError::Prefix));
        assert_eq!(check(&format!("vrg_{}", "ü".repeat(48))), Err(TokenError::Checksum));
        assert_eq!(check("<!doctypü"), Err(TokenError::Prefix));
    }
}
