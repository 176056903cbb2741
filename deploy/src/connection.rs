//! Which origin is spoken to, and with which token, and which name server: flags, then the environment, then the profile.

use std::io;
use std::path::{Path, PathBuf};

use crate::client::{Address, AddressError, Client, NameServer, SetupError, Token};
use crate::environment::Environment;
use crate::profile::{self, Profile, ProfileError};

/// What flags say about the connection.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// `--origin`.
    pub origin: Option<&'a str>,
    /// `--token-file`.
    pub token_file: Option<&'a Path>,
    /// `--insecure`.
    pub insecure: bool,
}

/// Why there is nobody to speak to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// Neither flag, variable nor profile names an origin.
    #[error("no origin is known")]
    NoOrigin,
    /// Neither flag, variable nor profile names a name server.
    #[error("no name server is known")]
    NoNode,
    /// Neither flag, variable nor profile holds a token for it.
    #[error("no token is known for the origin at {0}")]
    NoToken(Address),
    /// The token would travel where others can read it.
    #[error("{0} would carry the token in the clear")]
    Plain(Address),
    /// The file that should hold the token cannot be read.
    #[error("failed to read the token from {}", path.display())]
    TokenFile {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// What names the origin is not an address.
    #[error(transparent)]
    Address(#[from] AddressError),
    /// The profile is there and cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The client cannot be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
}

impl ConnectionError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NoOrigin => Some("run `verge up`, or set VERGE_ORIGIN and VERGE_TOKEN"),
            Self::NoNode => {
                Some("run `verge up`, or name the private listener of a name server with --node URL or VERGE_NODE")
            }
            Self::NoToken(_) => Some("set VERGE_TOKEN, or name a file that holds the token with --token-file"),
            Self::Plain(_) => Some("use https://, or --insecure where the network is trusted"),
            Self::Profile(_) => Some("correct it, or remove it and run `verge up`"),
            Self::Setup(SetupError::Certificates(_)) => {
                Some("install the package that brings them, often ca-certificates")
            }
            Self::Setup(SetupError::Token) => Some(Token::WHERE_FROM),
            Self::TokenFile { .. } | Self::Address(_) => None,
        }
    }
}

/// Finds the origin and the token, and makes a client for them.
pub fn open(wanted: &Wanted<'_>, environment: &Environment) -> Result<Client, ConnectionError> {
    let (origin, token) = find(wanted, environment)?;
    Ok(Client::new(origin, &token)?)
}

fn find(wanted: &Wanted<'_>, environment: &Environment) -> Result<(Address, Token), ConnectionError> {
    let origin = wanted.origin.or(environment.origin.as_deref());
    let token = match wanted.token_file {
        Some(path) => Some(token_in(path)?),
        None => environment.token.clone(),
    };
    // The profile is only opened when it is needed, so that a broken one is in nobody's way.
    let profile = if origin.is_some() && token.is_some() { None } else { load(environment)? };
    let origin: Address = match (origin, &profile) {
        (Some(origin), _) => origin.parse()?,
        (None, Some(profile)) => profile.origin.parse()?,
        (None, None) => return Err(ConnectionError::NoOrigin),
    };
    if origin.is_plain() && !origin.is_loopback() && !wanted.insecure {
        return Err(ConnectionError::Plain(origin));
    }
    // A profile's token is for the profile's origin: no other is ever shown it.
    let profiled =
        profile.filter(|profile| profile.origin.parse().as_ref() == Ok(&origin)).map(|profile| profile.token);
    match token.or(profiled) {
        Some(token) => Ok((origin, token)),
        None => Err(ConnectionError::NoToken(origin)),
    }
}

/// Finds a name server: `named`, else that of the environment or of the profile, and makes a client for it.
pub fn node(
    named: Option<&str>,
    wanted: &Wanted<'_>,
    environment: &Environment,
) -> Result<NameServer, ConnectionError> {
    let address = match named.or(environment.node.as_deref()) {
        Some(address) => Address::of_node(address)?,
        None => Address::of_node(&profiled_node(wanted, environment)?)?,
    };
    Ok(NameServer::new(address)?)
}

/// A profile's name server follows the profile's origin: of another it knows nothing.
fn profiled_node(wanted: &Wanted<'_>, environment: &Environment) -> Result<String, ConnectionError> {
    let profile = load(environment)?.ok_or(ConnectionError::NoNode)?;
    let is_other = match wanted.origin.or(environment.origin.as_deref()) {
        Some(origin) => profile.origin.parse().as_ref() != Ok(&origin.parse::<Address>()?),
        None => false,
    };
    profile.node.filter(|_| !is_other).ok_or(ConnectionError::NoNode)
}

fn load(environment: &Environment) -> Result<Option<Profile>, ProfileError> {
    environment.profile.as_deref().map_or(Ok(None), profile::load)
}

fn token_in(path: &Path) -> Result<Token, ConnectionError> {
    let read = std::fs::read_to_string(path).and_then(|text| {
        let token = Token::new(text);
        if token.reveal().is_empty() { Err(io::Error::other("it is empty")) } else { Ok(token) }
    });
    read.map_err(|source| ConnectionError::TokenFile { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use verge_protocol::Timestamp;

    use super::*;

    struct World {
        folder: tempfile::TempDir,
        environment: Environment,
    }

    fn world(variables: &[(&str, &str)]) -> World {
        let folder = tempfile::tempdir().unwrap();
        let variable =
            |name: &str| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).into());
        let mut environment = Environment::read(variable, folder.path().to_owned(), Timestamp(0));
        environment.profile = Some(folder.path().join("profile.toml"));
        World { folder, environment }
    }

    impl World {
        fn with_profile(self, origin: &str, token: &str) -> Self {
            let node = Some("https://node.c.org".to_owned());
            let profile = Profile { origin: origin.to_owned(), token: Token::new(token), node };
            profile::save(&profile, self.environment.profile.as_ref().unwrap()).unwrap();
            self
        }

        fn find(&self, wanted: &Wanted<'_>) -> Result<(String, String), ConnectionError> {
            find(wanted, &self.environment).map(|(origin, token)| (origin.to_string(), token.reveal().to_owned()))
        }
    }

    fn pair(origin: &str, token: &str) -> (String, String) {
        (origin.to_owned(), token.to_owned())
    }

    #[test]
    fn flags_come_before_the_environment_and_that_before_the_profile() {
        let variables = [("VERGE_ORIGIN", "https://b.org"), ("VERGE_TOKEN", "tb")];
        let world = world(&variables).with_profile("https://c.org", "tc");
        let file = world.folder.path().join("token");
        std::fs::write(&file, "ta\n").unwrap();
        let flags = Wanted { origin: Some("https://a.org"), token_file: Some(&file), insecure: false };
        assert_eq!(world.find(&flags).unwrap(), pair("https://a.org", "ta"));
        assert_eq!(world.find(&Wanted::default()).unwrap(), pair("https://b.org", "tb"));
        let bare = self::world(&[]).with_profile("https://c.org", "tc");
        assert_eq!(bare.find(&Wanted::default()).unwrap(), pair("https://c.org", "tc"));
    }

    #[test]
    fn a_profiles_token_goes_to_its_own_origin_only() {
        let world = world(&[]).with_profile("https://c.org/", "tc");
        let to = |origin| Wanted { origin: Some(origin), ..Wanted::default() };
        assert!(matches!(world.find(&to("https://evil.org")), Err(ConnectionError::NoToken(_))));
        assert_eq!(world.find(&to("https://c.org")).unwrap(), pair("https://c.org", "tc"));
    }

    #[test]
    fn a_name_server_is_named_by_a_flag_the_environment_or_the_profile() {
        let node = |world: &World, named, origin| {
            let node = super::node(named, &Wanted { origin, ..Wanted::default() }, &world.environment)?;
            Ok::<_, ConnectionError>(node.address().to_string())
        };
        let profiled = world(&[]).with_profile("https://c.org/", "tc");
        assert_eq!(node(&profiled, None, None).unwrap(), "https://node.c.org");
        assert_eq!(node(&profiled, None, Some("https://c.org")).unwrap(), "https://node.c.org");
        assert!(matches!(node(&profiled, None, Some("https://d.org")), Err(ConnectionError::NoNode)));
        let both = world(&[("VERGE_NODE", "http://192.0.2.1:7601")]).with_profile("https://c.org", "tc");
        assert_eq!(node(&both, None, None).unwrap(), "http://192.0.2.1:7601");
        assert_eq!(node(&both, Some("http://192.0.2.2:7601/"), None).unwrap(), "http://192.0.2.2:7601");
        let error = node(&world(&[]), None, None).unwrap_err();
        assert!(matches!(error, ConnectionError::NoNode) && error.hint().unwrap().contains("--node URL"));
    }

    #[test]
    fn nothing_known_is_said_so() {
        let error = world(&[]).find(&Wanted::default()).unwrap_err();
        assert!(matches!(error, ConnectionError::NoOrigin));
        assert_eq!(error.hint(), Some("run `verge up`, or set VERGE_ORIGIN and VERGE_TOKEN"));
    }

    #[test]
    fn a_token_goes_in_the_clear_only_to_this_machine_or_when_told() {
        let wanted = |origin, insecure| Wanted { origin: Some(origin), insecure, ..Wanted::default() };
        let world = world(&[("VERGE_TOKEN", "t")]);
        assert!(matches!(world.find(&wanted("http://x.org", false)), Err(ConnectionError::Plain(_))));
        for origin in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost:1", "http://origin.localhost:1"] {
            assert!(world.find(&wanted(origin, false)).is_ok(), "{origin}");
        }
        assert!(world.find(&wanted("http://x.org", true)).is_ok());
        assert!(world.find(&wanted("https://x.org", false)).is_ok());
    }

    #[test]
    fn a_token_file_that_is_not_there_or_empty_is_an_error() {
        let world = world(&[("VERGE_ORIGIN", "https://b.org")]);
        let file = world.folder.path().join("token");
        let wanted = Wanted { token_file: Some(&file), ..Wanted::default() };
        assert!(matches!(world.find(&wanted), Err(ConnectionError::TokenFile { .. })));
        std::fs::write(&file, "\n").unwrap();
        assert!(matches!(world.find(&wanted), Err(ConnectionError::TokenFile { .. })));
        std::fs::write(&file, "a\nb").unwrap();
        let error = open(&wanted, &world.environment).err().unwrap();
        assert!(matches!(error, ConnectionError::Setup(SetupError::Token)) && error.hint() == Some(Token::WHERE_FROM));
    }
}
