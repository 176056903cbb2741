//! The section `[acme]` of the configuration file.

use std::path::PathBuf;

use serde::Deserialize;
use verge_daemon::Secret;
use verge_daemon::secret::SecretError;

use crate::certificates::{AuthoritySettings, ExternalAccount, SiteCertificates};

/// What the section holds. A field that is not listed here is an error.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "`origin.sample.toml` explains every setting")]
pub struct RawAcme {
    #[serde(default = "lets_encrypt")]
    pub directory: String,
    pub email: Option<String>,
    pub profile: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub external_account: Option<RawExternalAccount>,
    #[serde(default)]
    pub sites: SiteCertificates,
    pub fallback: Option<RawAuthority>,
}

/// Another authority, for when the first one fails.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "`origin.sample.toml` explains every setting")]
pub struct RawAuthority {
    pub directory: String,
    pub email: Option<String>,
    pub profile: Option<String>,
    pub ca_file: Option<PathBuf>,
    pub external_account: Option<RawExternalAccount>,
}

/// An account that exists at an authority outside ACME.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "`origin.sample.toml` explains every setting")]
pub struct RawExternalAccount {
    pub key_id: String,
    pub hmac_key: Option<Secret>,
    pub hmac_key_file: Option<PathBuf>,
}

/// Why the section is invalid.
#[derive(Debug, thiserror::Error)]
pub enum AcmeError {
    /// The directory is no URL of HTTPS.
    #[error("invalid `directory` of a certificate authority `{0}`: expected https://…")]
    Directory(String),
    /// Both authorities are the same.
    #[error("`fallback` has the directory of the first authority: set another one")]
    SameAuthority,
    /// The key of the external account.
    #[error(transparent)]
    ExternalAccount(#[from] SecretError),
}

fn lets_encrypt() -> String {
    AuthoritySettings::DIRECTORY.to_owned()
}

impl RawAcme {
    /// The authorities, the preferred one first.
    pub(super) fn authorities(self) -> Result<Vec<AuthoritySettings>, AcmeError> {
        let Self { directory, email, profile, ca_file, external_account, sites: _, fallback } = self;
        let first = RawAuthority { directory, email, profile, ca_file, external_account };
        let email = first.email.clone();
        let mut authorities = vec![first.check()?];
        if let Some(mut fallback) = fallback {
            fallback.email = fallback.email.or(email);
            let fallback = fallback.check()?;
            if fallback.directory == authorities[0].directory {
                return Err(AcmeError::SameAuthority);
            }
            authorities.push(fallback);
        }
        Ok(authorities)
    }
}

impl RawAuthority {
    fn check(self) -> Result<AuthoritySettings, AcmeError> {
        let Self { directory, email, profile, ca_file, external_account } = self;
        if !url::Url::parse(&directory).is_ok_and(|url| url.scheme() == "https" && url.has_host()) {
            return Err(AcmeError::Directory(directory));
        }
        let external_account = external_account
            .map(|RawExternalAccount { key_id, hmac_key, hmac_key_file }| {
                let hmac_key = Secret::from_value_or_file("hmac_key", hmac_key, hmac_key_file.as_deref())?;
                Ok::<_, SecretError>(ExternalAccount { key_id, hmac_key, hmac_key_file })
            })
            .transpose()?;
        Ok(AuthoritySettings { email, profile, external_account, ca_file, ..AuthoritySettings::new(directory) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Vec<AuthoritySettings>, String> {
        let raw: RawAcme = toml::from_str(text).map_err(|error| error.message().to_owned())?;
        raw.authorities().map_err(|error| error.to_string())
    }

    #[test]
    fn empty_section_is_lets_encrypt() {
        let authorities = parse("").unwrap();
        assert_eq!(authorities.len(), 1);
        assert_eq!(authorities[0].directory, AuthoritySettings::DIRECTORY);
    }

    #[test]
    fn fallback_is_another_authority_that_has_the_address_too() {
        let text = "email = \"ops@example.org\"\n[fallback]\ndirectory = \"https://acme.example.org/directory\"\n\
                    [fallback.external_account]\nkey_id = \"k\"\nhmac_key = \"c2VjcmV0\"";
        let authorities = parse(text).unwrap();
        assert_eq!(authorities[1].email.as_deref(), Some("ops@example.org"));
        assert!(authorities[1].external_account.is_some());
        for bad in [
            "directory = \"http://acme.example.org/directory\"",
            "directory = \"acme\"",
            "sites = \"all\"",
            "stes = \"each\"",
            &format!("[fallback]\ndirectory = \"{}\"", AuthoritySettings::DIRECTORY),
            "[external_account]\nkey_id = \"k\"",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
