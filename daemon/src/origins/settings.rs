//! The settings of origins and token, common to all configuration files of daemons that connect to origins.

use std::path::Path;

use super::{OriginUrl, OriginUrlError};
use crate::secret::{Secret, SecretError};

/// The settings `origins`, `insecure`, `token` and `token_file`.
#[derive(Debug)]
#[expect(missing_docs, reason = "the samples of configuration explain every setting")]
pub struct OriginSettings<'a> {
    pub origins: &'a [String],
    pub insecure: bool,
    pub token: Option<Secret>,
    pub token_file: Option<&'a Path>,
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
    /// No token is configured, or two.
    #[error(transparent)]
    Token(#[from] SecretError),
    /// The token is empty.
    #[error("the token is empty")]
    EmptyToken,
    /// The token cannot be sent in a header.
    #[error("malformed token: expected printable ASCII characters without spaces")]
    TokenCharacters,
}

impl OriginSettings<'_> {
    /// Validates them; returns at least one origin, and the token. Reads `token_file` if set.
    pub fn check(self) -> Result<(Vec<OriginUrl>, Secret), OriginSettingsError> {
        if self.origins.is_empty() {
            return Err(OriginSettingsError::NoOrigin);
        }
        let origin = |text: &String| if self.insecure { OriginUrl::insecure(text) } else { text.parse() };
        let origins = self.origins.iter().map(origin).collect::<Result<_, _>>()?;
        let token = Secret::from_value_or_file("token", self.token, self.token_file)?;
        if token.expose().is_empty() {
            return Err(OriginSettingsError::EmptyToken);
        }
        if !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(OriginSettingsError::TokenCharacters);
        }
        Ok((origins, token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error_chain;

    fn check(
        origins: &[&str],
        insecure: bool,
        token: Option<&str>,
        token_file: Option<&Path>,
    ) -> Result<usize, String> {
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        let settings = OriginSettings { origins: &origins, insecure, token: token.map(Secret::new), token_file };
        settings.check().map(|(origins, _)| origins.len()).map_err(|error| error_chain(&error))
    }

    #[test]
    fn origins_and_token_are_required() {
        let both = ["https://one.example", "https://two.example"];
        assert_eq!(check(&both, false, Some("vrg_x"), None), Ok(2));
        assert_eq!(check(&["http://192.0.2.1"], true, Some("vrg_x"), None), Ok(1));
        for (origins, token, file, wrong) in [
            (&[][..], Some("vrg_x"), None, "`origins` is empty"),
            (&["http://192.0.2.1"], Some("vrg_x"), None, "insecure origin URL `http://192.0.2.1`"),
            (&["moon"], Some("vrg_x"), None, "invalid origin URL `moon`"),
            (&both, None, None, "`token` or `token_file` must be set"),
            (&both, Some("vrg_x"), Some(Path::new("x")), "both set"),
            (&both, None, Some(Path::new("/nowhere/token")), "failed to read `token_file` /nowhere/token"),
            (&both, Some(""), None, "the token is empty"),
            (&both, Some("vrg x"), None, "malformed token"),
        ] {
            let error = check(origins, false, token, file).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
