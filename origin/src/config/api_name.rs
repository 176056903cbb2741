//! The settings `api_name` and `challenge_listen`, which make sense only with others.

use verge_protocol::DomainName;

/// Why the name of the API is invalid.
#[derive(Debug, thiserror::Error)]
pub enum ApiNameError {
    /// Nothing presents its certificate.
    #[error("`api_name` has no effect without `tls_listen`: set `tls_listen`, such as \"0.0.0.0:7443\", or remove it")]
    NoTlsListener,
    /// Nothing issues it.
    #[error("`api_name` has no effect without `[acme]`: add the section, or remove it")]
    NoAuthority,
    /// Both name a certificate.
    #[error("`api_name` and `api_certificate` exclude each other: remove one")]
    WithFiles,
    /// Sites are there.
    #[error("`api_name` is {0}, the host of `sites_url`: use another name, which resolves to this machine")]
    Base(DomainName),
    /// Previews and releases are there.
    #[error("`api_name` is {0}, which may be the host of a preview or release: use a name without `--`")]
    Preview(DomainName),
    /// There is nothing to prove.
    #[error("`challenge_listen` has no effect without `api_name`: set the name, or remove it")]
    NoName,
}

/// The settings that are set.
#[expect(clippy::struct_excessive_bools, reason = "each is whether a setting of its name is set")]
pub(super) struct Given<'a> {
    pub(super) api_name: Option<&'a DomainName>,
    pub(super) challenge_listen: bool,
    pub(super) tls_listen: bool,
    pub(super) api_certificate: bool,
    pub(super) acme: bool,
}

/// Checks the settings against each other and against the host of the sites.
pub(super) fn check(given: &Given<'_>, base: &DomainName) -> Result<(), ApiNameError> {
    let Some(name) = given.api_name else {
        return if given.challenge_listen { Err(ApiNameError::NoName) } else { Ok(()) };
    };
    if !given.acme {
        Err(ApiNameError::NoAuthority)
    } else if !given.tls_listen {
        Err(ApiNameError::NoTlsListener)
    } else if given.api_certificate {
        Err(ApiNameError::WithFiles)
    } else if name == base {
        Err(ApiNameError::Base(base.clone()))
    } else if base.label_of(name.as_str()).is_some_and(|label| label.contains("--")) {
        Err(ApiNameError::Preview(name.clone()))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::config::raw::RawConfig;

    fn parse(text: &str) -> Result<Config, String> {
        let text = format!("data = \"data\"\nsites_url = \"https://sites.example.com\"\n{text}");
        let raw: RawConfig = toml::from_str(&text).map_err(|error| error.message().to_owned())?;
        Config::try_from(raw).map_err(|error| error.to_string())
    }

    #[test]
    fn name_of_the_api_needs_a_listener_and_an_authority() {
        let name = "api_name = \"origin.example.com\"\n";
        let tls = "tls_listen = \"0.0.0.0:7443\"\n";
        let http = "challenge_listen = \"0.0.0.0:80\"\n";
        let config = parse(&format!("{name}{tls}[acme]")).unwrap();
        assert_eq!(config.api_name.unwrap().as_str(), "origin.example.com");
        assert!(parse(&format!("{name}{tls}{http}[acme]\nsites = \"each\"")).unwrap().challenge_listen.is_some());
        assert!(parse(&format!("api_name = \"a.b--c.sites.example.com\"\n{tls}[acme]")).is_ok(), "no host of sites");
        for (text, expected) in [
            (format!("{name}[acme]"), "without `tls_listen`"),
            (format!("{name}{tls}"), "without `[acme]`"),
            (format!("api_name = \"sites.example.com\"\n{tls}[acme]"), "the host of `sites_url`"),
            (format!("api_name = \"pr-1--demo.sites.example.com\"\n{tls}[acme]"), "host of a preview or release"),
            (format!("api_name = \"e3b0c44298fc1c14--demo.sites.example.com\"\n{tls}[acme]"), "host of a preview"),
            (format!("{name}{tls}[api_certificate]\nchain = \"c\"\nkey = \"k\"\n[acme]"), "exclude each other"),
            (format!("api_name = \"no name\"\n{tls}[acme]"), "invalid domain name"),
            (format!("{tls}{http}[acme]"), "without `api_name`"),
        ] {
            let error = parse(&text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
