//! What proves to an origin that the caller may.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A token. It is sent and stored, and never shown.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(String);

impl Token {
    /// What to do about one that is not taken. Whoever reads it has named a token already, perhaps without knowing which counts.
    pub const WHERE_FROM: &str = "the token is that of --token-file, else of VERGE_TOKEN, else of the profile: was it cut when it was copied, or is it for another origin?";

    /// Takes a token as it was found; white space around it, such as a file's last line end, does not count.
    pub fn new(text: impl AsRef<str>) -> Self {
        Self(text.as_ref().trim().to_owned())
    }

    /// The text, for the one header that carries it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}
