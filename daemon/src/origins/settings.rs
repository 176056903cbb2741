//! Whom to follow, and how to prove it, as written in a configuration file.

use std::path::Path;

use super::{OriginUrl, OriginUrlError};
use crate::secret::{Secret, SecretError};

/// The settings of the same names.
#[derive(Debug)]
#[expect(missing_docs, reason = "the samples of configuration explain every setting")]
pub struct OriginSettings<'a> {
    pub origins: &'a [String],
    pub insecure: bool,
    pub token: Option<Secret>,
    pub token_file: Option<&'a Path>,
}

/// Why they are wrong.
#[derive(Debug, thiserror::Error)]
pub enum OriginSettingsError {
    /// Nobody to follow.
    #[error("`origins` is empty: name at least one")]
    NoOrigin,
    /// One of the origins.
    #[error("in `origins`")]
    Origin(#[from] OriginUrlError),
    /// No token, or two.
    #[error(transparent)]
    Token(#[from] SecretError),
    /// The token is nothing.
    #[error("the token is empty")]
    EmptyToken,
    /// The token cannot go into a header.
    #[error("the token contains characters that no token has")]
    TokenCharacters,
}

impl OriginSettings<'_> {
    /// The origins, at least one, and the token. Reads the file of the token, if that is where it is.
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
    fn origins_and_a_token_are_needed() {
        let both = ["https://one.example", "https://two.example"];
        assert_eq!(check(&both, false, Some("vrg_x"), None), Ok(2));
        assert_eq!(check(&["http://192.0.2.1"], true, Some("vrg_x"), None), Ok(1));
        for (origins, token, file, wrong) in [
            (&[][..], Some("vrg_x"), None, "`origins` is empty"),
            (&["http://192.0.2.1"], Some("vrg_x"), None, "in `origins`"),
            (&["moon"], Some("vrg_x"), None, "in `origins`"),
            (&both, None, None, "neither `token` nor `token_file` is set"),
            (&both, Some("vrg_x"), Some(Path::new("x")), "both set"),
            (&both, None, Some(Path::new("/nowhere/token")), "cannot read /nowhere/token"),
            (&both, Some(""), None, "the token is empty"),
            (&both, Some("vrg x"), None, "the token contains characters"),
        ] {
            let error = check(origins, false, token, file).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
    }
}
