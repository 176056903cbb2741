//! Selects the origin, its pin, the token and the name server: from flags, else the environment, else the profile.

use std::io;
use std::path::{Path, PathBuf};

use verge_protocol::KeyPin;
use verge_protocol::key_pin::KeyPinError;
use verge_protocol::token::{self, TokenError};

use crate::client::{Client, NameServer, ServerUrl, ServerUrlError, SetupError, Token};
use crate::environment::Environment;
use crate::profile::{self, Profile, ProfileError};

/// The flags that concern the connection.
#[derive(Debug, Clone, Default)]
pub struct ConnectionOptions<'a> {
    /// `--origin`.
    pub origin: Option<&'a str>,
    /// `--token-file`.
    pub token_file: Option<&'a Path>,
    /// `--pin`.
    pub pin: Option<KeyPin>,
    /// `--insecure`.
    pub insecure: bool,
}

/// Why no connection can be made.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// No flag, variable or profile names an origin.
    #[error("no origin configured")]
    NoOrigin,
    /// No flag, variable or profile names a name server.
    #[error("no name server configured")]
    NoNameServer,
    /// No flag, variable or profile has a token for the origin.
    #[error("no token configured for the origin at {0}")]
    NoToken(ServerUrl),
    /// The token would be sent unencrypted to another machine.
    #[error("refusing to send the token unencrypted to {0}")]
    Unencrypted(ServerUrl),
    /// The token file cannot be read.
    #[error("failed to read the token from `{}`", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The text is not a token.
    #[error("invalid token in {place}: {error}")]
    InvalidToken {
        /// Where it was read from.
        place: String,
        /// What is wrong.
        error: TokenError,
    },
    /// The text in `VERGE_PIN` is not a pin.
    #[error("invalid VERGE_PIN")]
    Pin(#[from] KeyPinError),
    /// The URL of the origin or the name server is invalid.
    #[error(transparent)]
    Url(#[from] ServerUrlError),
    /// The profile exists and cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The HTTP client cannot be set up.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl ConnectionError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoOrigin => Some("run `verge login URL` or `verge up`, or set VERGE_ORIGIN and VERGE_TOKEN"),
            Self::NoNameServer => {
                Some("run `verge up`, or set VERGE_NAME_SERVER or --name-server to the URL of its private listener")
            }
            Self::NoToken(_) => Some("run `verge login URL`, set VERGE_TOKEN, or use --token-file FILE"),
            Self::InvalidToken { .. } => Some(
                "copy the whole token; that of the administrator is in `admin-token` in the data directory of the origin",
            ),
            Self::Unencrypted(_) => Some("use an https:// URL, or --insecure on a trusted network"),
            Self::Profile(_) => Some("fix the file, or delete it and run `verge login URL` or `verge up`"),
            Self::Setup(SetupError::Certificates(_)) => {
                Some("install the package with root certificates, usually ca-certificates")
            }
            Self::Setup(SetupError::Token) => Some(Token::SOURCES_HINT),
            Self::TokenFile { .. } | Self::Pin(_) | Self::Url(_) => None,
        }
    }
}

/// A client for the selected origin, with the selected token.
pub fn origin(options: &ConnectionOptions<'_>, environment: &Environment) -> Result<Client, ConnectionError> {
    let Selected { origin, token, pin } = select(options, environment)?;
    Ok(Client::with_pin(origin, &token, pin)?)
}

/// The pin of a flag or of the environment.
pub fn given_pin(
    options: &ConnectionOptions<'_>,
    environment: &Environment,
) -> Result<Option<KeyPin>, ConnectionError> {
    Ok(options.pin.map_or_else(|| environment.pin.as_deref().map(str::parse).transpose(), |pin| Ok(Some(pin)))?)
}

/// An error if the token would be sent unencrypted to another machine.
pub fn check_encrypted(origin: &ServerUrl, options: &ConnectionOptions<'_>) -> Result<(), ConnectionError> {
    if origin.is_encrypted() || origin.is_loopback() || options.insecure {
        Ok(())
    } else {
        Err(ConnectionError::Unencrypted(origin.clone()))
    }
}

/// Which origin is used, and how.
struct Selected {
    origin: ServerUrl,
    token: Token,
    pin: Option<KeyPin>,
}

fn select(options: &ConnectionOptions<'_>, environment: &Environment) -> Result<Selected, ConnectionError> {
    let origin = options.origin.or(environment.origin.as_deref());
    let token = match (options.token_file, &environment.token) {
        (Some(path), _) => Some((read_token(path)?, format!("`{}`", path.display()))),
        (None, Some(token)) => Some((token.clone(), "VERGE_TOKEN".to_owned())),
        (None, None) => None,
    };
    let pin = given_pin(options, environment)?;
    // The profile is read only if needed, so that an invalid one does no harm otherwise.
    let is_complete = origin.is_some() && token.is_some();
    let profile = match load_profile(environment) {
        Err(_) if is_complete => None,
        profile => profile?,
    };
    let origin: ServerUrl = match (origin, &profile) {
        (Some(origin), _) => origin.parse()?,
        (None, Some(profile)) => profile.origin.parse()?,
        (None, None) => return Err(ConnectionError::NoOrigin),
    };
    check_encrypted(&origin, options)?;
    // The profile's token is sent to the profile's origin only, which has the profile's key.
    let profile = profile.filter(|profile| profile.origin.parse().as_ref() == Ok(&origin));
    let pin = pin.or_else(|| profile.as_ref()?.pin);
    let profile_token = profile.map(|profile| (profile.token, "the profile".to_owned()));
    let (token, place) = token.or(profile_token).ok_or_else(|| ConnectionError::NoToken(origin.clone()))?;
    match token::check(token.expose()) {
        Ok(()) => Ok(Selected { origin, token, pin }),
        Err(error) => Err(ConnectionError::InvalidToken { place, error }),
    }
}

/// A client for a name server: at `url`, else that of the environment, else that of the profile.
pub fn name_server(
    url: Option<&str>,
    options: &ConnectionOptions<'_>,
    environment: &Environment,
) -> Result<NameServer, ConnectionError> {
    let url = match url.or(environment.name_server.as_deref()) {
        Some(url) => ServerUrl::parse_name_server(url)?,
        None => ServerUrl::parse_name_server(&profile_name_server(options, environment)?)?,
    };
    Ok(NameServer::new(url)?)
}

/// The profile's name server, unless another origin is selected: it follows the profile's origin only.
fn profile_name_server(options: &ConnectionOptions<'_>, environment: &Environment) -> Result<String, ConnectionError> {
    let profile = load_profile(environment)?.ok_or(ConnectionError::NoNameServer)?;
    let is_other = match options.origin.or(environment.origin.as_deref()) {
        Some(origin) => profile.origin.parse().as_ref() != Ok(&origin.parse::<ServerUrl>()?),
        None => false,
    };
    profile.name_server.filter(|_| !is_other).ok_or(ConnectionError::NoNameServer)
}

fn load_profile(environment: &Environment) -> Result<Option<Profile>, ProfileError> {
    environment.profile.as_deref().map_or(Ok(None), profile::load)
}

/// The token in a file.
pub fn read_token(path: &Path) -> Result<Token, ConnectionError> {
    std::fs::read_to_string(path)
        .map(Token::new)
        .map_err(|source| ConnectionError::TokenFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use verge_protocol::Timestamp;

    use super::*;

    struct World {
        dir: tempfile::TempDir,
        environment: Environment,
    }

    fn world(variables: &[(&str, &str)]) -> World {
        let dir = tempfile::tempdir().unwrap();
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let mut environment = Environment::read(variable, dir.path().to_owned(), Timestamp(0));
        environment.profile = Some(dir.path().join("profile.toml"));
        World { dir, environment }
    }

    impl World {
        fn with_profile(self, origin: &str, token: &str) -> Self {
            let name_server = Some("https://ns.c.org".to_owned());
            let profile = Profile { origin: origin.to_owned(), token: Token::new(token), pin: None, name_server };
            profile::save(&profile, self.environment.profile.as_ref().unwrap()).unwrap();
            self
        }

        fn select(&self, options: &ConnectionOptions<'_>) -> Result<(String, String), ConnectionError> {
            select(options, &self.environment)
                .map(|selected| (selected.origin.to_string(), selected.token.expose().to_owned()))
        }
    }

    fn pair(origin: &str, token: &str) -> (String, String) {
        (origin.to_owned(), token.to_owned())
    }

    /// The token of 40 equal digits.
    fn token(digit: char) -> String {
        token::from_random_digits(&String::from(digit).repeat(token::RANDOM_DIGITS))
    }

    #[test]
    fn flags_override_environment_which_overrides_profile() {
        let (ta, tb, tc) = (token('a'), token('b'), token('c'));
        let variables = [("VERGE_ORIGIN", "https://b.org"), ("VERGE_TOKEN", &*tb)];
        let world = world(&variables).with_profile("https://c.org", &tc);
        let file = world.dir.path().join("token");
        std::fs::write(&file, format!("{ta}\n")).unwrap();
        let flags = ConnectionOptions {
            origin: Some("https://a.org"),
            token_file: Some(&file),
            ..ConnectionOptions::default()
        };
        assert_eq!(world.select(&flags).unwrap(), pair("https://a.org", &ta));
        assert_eq!(world.select(&ConnectionOptions::default()).unwrap(), pair("https://b.org", &tb));
        let bare = self::world(&[]).with_profile("https://c.org", &tc);
        assert_eq!(bare.select(&ConnectionOptions::default()).unwrap(), pair("https://c.org", &tc));
    }

    #[test]
    fn profile_token_is_sent_to_profile_origin_only() {
        let tc = token('c');
        let world = world(&[]).with_profile("https://c.org/", &tc);
        let to = |origin| ConnectionOptions { origin: Some(origin), ..ConnectionOptions::default() };
        assert!(matches!(world.select(&to("https://evil.org")), Err(ConnectionError::NoToken(_))));
        assert_eq!(world.select(&to("https://c.org")).unwrap(), pair("https://c.org", &tc));
    }

    #[test]
    fn pin_is_that_of_flag_then_environment_then_profile_of_the_same_origin() {
        let pin = |text: &str| KeyPin::new(verge_protocol::Digest::of(text.as_bytes()));
        let selected = |world: &World, flag: Option<KeyPin>, origin| {
            let options = ConnectionOptions { origin, pin: flag, ..ConnectionOptions::default() };
            select(&options, &world.environment).unwrap().pin
        };
        let (environment, token) = (pin("environment").to_string(), token('a'));
        for variables in [&[("VERGE_TOKEN", &*token)][..], &[("VERGE_TOKEN", &*token), ("VERGE_PIN", &*environment)]] {
            let world = world(variables);
            let profile = Profile {
                origin: "https://c.org".to_owned(),
                token: Token::new(&token),
                pin: Some(pin("profile")),
                name_server: None,
            };
            profile::save(&profile, world.environment.profile.as_ref().unwrap()).unwrap();
            let by_environment = (variables.len() == 2).then(|| pin("environment"));
            assert_eq!(selected(&world, Some(pin("flag")), None), Some(pin("flag")));
            assert_eq!(selected(&world, None, None), by_environment.or(Some(pin("profile"))));
            assert_eq!(selected(&world, None, Some("https://c.org")), by_environment.or(Some(pin("profile"))));
            assert_eq!(selected(&world, None, Some("https://d.org")), by_environment, "it is another origin's");
        }
    }

    #[test]
    fn name_server_is_selected_by_flag_then_environment_then_profile() {
        let selected = |world: &World, url, origin| {
            let name_server = super::name_server(
                url,
                &ConnectionOptions { origin, ..ConnectionOptions::default() },
                &world.environment,
            )?;
            Ok::<_, ConnectionError>(name_server.url().to_string())
        };
        let profiled = world(&[]).with_profile("https://c.org/", "tc");
        assert_eq!(selected(&profiled, None, None).unwrap(), "https://ns.c.org");
        assert_eq!(selected(&profiled, None, Some("https://c.org")).unwrap(), "https://ns.c.org");
        assert!(matches!(selected(&profiled, None, Some("https://d.org")), Err(ConnectionError::NoNameServer)));
        let both = world(&[("VERGE_NAME_SERVER", "http://192.0.2.1:7601")]).with_profile("https://c.org", "tc");
        assert_eq!(selected(&both, None, None).unwrap(), "http://192.0.2.1:7601");
        assert_eq!(selected(&both, Some("http://192.0.2.2:7601/"), None).unwrap(), "http://192.0.2.2:7601");
        let error = selected(&world(&[]), None, None).unwrap_err();
        assert!(matches!(error, ConnectionError::NoNameServer) && error.hint().unwrap().contains("--name-server"));
    }

    #[test]
    fn missing_origin_error_has_hint() {
        let error = world(&[]).select(&ConnectionOptions::default()).unwrap_err();
        assert!(matches!(error, ConnectionError::NoOrigin));
        assert_eq!(error.hint(), Some("run `verge login URL` or `verge up`, or set VERGE_ORIGIN and VERGE_TOKEN"));
    }

    #[test]
    fn token_is_sent_unencrypted_only_to_loopback_or_with_insecure() {
        let options =
            |origin, insecure| ConnectionOptions { origin: Some(origin), insecure, ..ConnectionOptions::default() };
        let world = world(&[("VERGE_TOKEN", &token('a'))]);
        assert!(matches!(world.select(&options("http://x.org", false)), Err(ConnectionError::Unencrypted(_))));
        for origin in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://origin.localhost:1"] {
            assert!(world.select(&options(origin, false)).is_ok(), "{origin}");
        }
        assert!(world.select(&options("http://x.org", true)).is_ok());
        assert!(world.select(&options("https://x.org", false)).is_ok());
    }

    #[test]
    fn missing_token_file_is_an_error() {
        let world = world(&[("VERGE_ORIGIN", "https://b.org")]);
        let file = world.dir.path().join("token");
        let options = ConnectionOptions { token_file: Some(&file), ..ConnectionOptions::default() };
        assert!(matches!(world.select(&options), Err(ConnectionError::TokenFile { .. })));
    }

    #[test]
    fn invalid_token_error_names_where_it_was_read_from() {
        let origin = ("VERGE_ORIGIN", "https://b.org");
        let world = world(&[origin, ("VERGE_TOKEN", &token('a')[..30])]);
        let error = |options: &ConnectionOptions<'_>| world.select(options).unwrap_err().to_string();
        assert_eq!(
            error(&ConnectionOptions::default()),
            "invalid token in VERGE_TOKEN: malformed token: expected 52 characters, found 30"
        );
        let file = world.dir.path().join("token");
        let options = ConnectionOptions { token_file: Some(&file), ..ConnectionOptions::default() };
        for (text, wrong) in [
            ("\n", "the token is empty"),
            ("a\nb", "expected a token alone, found several words or lines"),
            ("<token>\n", "expected a token, found a placeholder"),
        ] {
            std::fs::write(&file, text).unwrap();
            assert_eq!(error(&options), format!("invalid token in `{}`: {wrong}", file.display()));
        }
        let profiled = self::world(&[]).with_profile("https://c.org", "vrg_…");
        let error = profiled.select(&ConnectionOptions::default()).unwrap_err();
        assert_eq!(error.to_string(), "invalid token in the profile: expected a token, found a placeholder");
        assert!(error.hint().unwrap().contains("`admin-token`"));
    }
}
