//! The settings of origins and token, common to all configuration files of daemons that connect to origins.

use std::path::Path;

use verge_protocol::api::TokenOwner;
use verge_protocol::token::{self, TokenError};

use super::{OriginUrl, OriginUrlError};
use crate::error_chain;
use crate::secret::{Secret, SecretError};

/// The settings `origins`, `insecure`, `token` and `token_file`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the samples of configuration explain every setting")]
pub struct OriginSettings<'a> {
    pub origins: &'a [String],
    pub insecure: bool,
    pub token: Option<Secret>,
    pub token_file: Option<&'a Path>,
    /// The daemon, by the name that is configured.
    pub owner: TokenOwner,
}

/// Why they are invalid.
#[derive(Debug, thiserror::Error)]
pub enum OriginSettingsError {
    /// No origin is configured.
    #[error("`origins` is empty: expected at least one URL")]
    NoOrigin,
    /// An origin's URL is invalid.
    #[error(transparent)]
    Origin(#[from] OriginUrlError),
    /// Two tokens are configured.
    #[error(transparent)]
    Secret(SecretError),
    /// No token is configured, or its file cannot be read.
    #[error("{}; {}", error_chain(error), how_to_obtain(owner))]
    NoToken {
        /// What is wrong.
        error: SecretError,
        /// The daemon.
        owner: TokenOwner,
    },
    /// The text is not a token.
    #[error("invalid {setting}: {error}; {}", how_to_obtain(owner))]
    Token {
        /// Where it was read from: `` `token` `` or the file.
        setting: String,
        /// What is wrong.
        error: TokenError,
        /// The daemon.
        owner: TokenOwner,
    },
}

/// What the operator can do to obtain a token for `owner`.
pub(super) fn how_to_obtain(owner: &TokenOwner) -> String {
    match owner {
        TokenOwner::Edge(name) => format!("issue one with `verge edges token {name}` and write it to `token_file`"),
        TokenOwner::NameServer(name) => format!("issue one with `verge dns token {name}` and write it to `token_file`"),
        TokenOwner::Admin => "the origin has one in the file `admin-token` of its data directory".to_owned(),
    }
}

impl OriginSettings<'_> {
    /// Validates them; returns at least one origin, and the token. Reads `token_file` if set.
    pub fn check(self) -> Result<(Vec<OriginUrl>, Secret), OriginSettingsError> {
        if self.origins.is_empty() {
            return Err(OriginSettingsError::NoOrigin);
        }
        let origin = |text: &String| if self.insecure { OriginUrl::insecure(text) } else { text.parse() };
        let origins = self.origins.iter().map(origin).collect::<Result<_, _>>()?;
        let owner = self.owner;
        let setting =
            self.token_file.map_or_else(|| "`token`".to_owned(), |path| format!("`token_file` {}", path.display()));
        match Secret::from_value_or_file("token", self.token, self.token_file) {
            Ok(token) => match token::check(token.expose()) {
                Ok(()) => Ok((origins, token)),
                Err(error) => Err(OriginSettingsError::Token { setting, error, owner }),
            },
            Err(error @ SecretError::Both(_)) => Err(OriginSettingsError::Secret(error)),
            Err(error) => Err(OriginSettingsError::NoToken { error, owner }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "vrg_00000000000000000000000000000000000000009692e67b";

    fn check(
        origins: &[&str],
        insecure: bool,
        token: Option<&str>,
        token_file: Option<&Path>,
    ) -> Result<usize, String> {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let owner = TokenOwner::Edge("fra-1".parse().unwrap());
        let settings = OriginSettings { origins: &origins, insecure, token: token.map(Secret::new), token_file, owner };
        settings.check().map(|(origins, _)| origins.len()).map_err(|error| error_chain(&error))
    }

    #[test]
    fn origins_and_token_are_required() {
        let both = ["https://one.example", "https://two.example"];
        assert_eq!(check(&both, false, Some(TOKEN), None), Ok(2));
        assert_eq!(check(&["http://192.0.2.1"], true, Some(TOKEN), None), Ok(1));
        for (origins, token, file, wrong) in [
            (&[][..], Some(TOKEN), None, "`origins` is empty"),
            (&["http://192.0.2.1"], Some(TOKEN), None, "insecure origin URL `http://192.0.2.1`"),
            (&["moon"], Some(TOKEN), None, "invalid origin URL `moon`"),
            (&both, None, None, "`token` or `token_file` must be set; issue one with `verge edges token fra-1`"),
            (&both, Some(TOKEN), Some(Path::new("x")), "both set"),
            (
                &both,
                None,
                Some(Path::new("/nowhere/token")),
                "failed to read `token_file` /nowhere/token: No such file",
            ),
            (&both, Some(""), None, "invalid `token`: the token is empty"),
            (&both, Some("vrg x"), None, "invalid `token`: expected a token alone"),
        ] {
            let error = check(origins, false, token, file).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }

    #[test]
    fn invalid_token_file_is_named_with_the_command_that_issues_a_token() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("edge.token");
        let checked = |text: &str| {
            std::fs::write(&path, text).unwrap();
            check(&["https://one.example"], false, None, Some(&path))
        };
        assert_eq!(checked(&format!("{TOKEN}\n")), Ok(1));
        for (text, wrong) in [
            ("\n", "the token is empty"),
            ("<token>\n", "expected a token, found a placeholder"),
            (&format!("{TOKEN}\n{TOKEN}\n"), "expected a token alone, found several words or lines"),
            (&TOKEN[..51], "malformed token: expected 52 characters, found 51"),
        ] {
            let advice = "issue one with `verge edges token fra-1` and write it to `token_file`";
            assert_eq!(checked(text), Err(format!("invalid `token_file` {}: {wrong}; {advice}", path.display())));
        }
    }
}
