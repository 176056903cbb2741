//! Tokens.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A token. `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// The hint for a token that the origin rejects: the user may not know where it was read from.
    pub const SOURCES_HINT: &str = "the token is read from --token-file, else VERGE_TOKEN, else the profile: check that it is complete and belongs to this origin";

    /// A token without surrounding whitespace, such as the final newline of a file.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The text, for the `Authorization` header.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
