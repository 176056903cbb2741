//! `verge login` and `verge logout`.

use serde_json::json;
use verge_protocol::api::TokenOwner;
use verge_protocol::token::{self, TokenError};
use verge_protocol::{KeyPin, error_chain};

use super::context::Context;
use crate::client::{Client, ClientError, ServerUrl, Token, presented_key};
use crate::endpoints::{self, ConnectionError};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::profile::{self, Profile};

/// Where the administrator's token is.
const TOKEN_HINT: &str = "that of the administrator is in `admin-token` in the data directory of the origin";

/// Why a login failed. Nothing was stored.
#[derive(Debug, thiserror::Error)]
enum LoginError {
    #[error("no home directory: there is no place for the profile")]
    NoProfile,
    #[error(
        "cannot tell whether {origin} is the origin: its certificate is not valid for its name, and it has the key {found}"
    )]
    UnknownKey { origin: String, found: KeyPin },
    #[error("failed to read the token")]
    Input(#[source] std::io::Error),
    #[error("invalid token")]
    Token(#[source] TokenError),
    #[error("the token belongs to {0}: expected that of the administrator")]
    Owner(TokenOwner),
}

/// Checks a token against the origin, and keeps both.
pub(super) async fn login(url: &str, context: &Context<'_>) -> Result<Exit, Failure> {
    let path = context.environment.profile.as_deref().ok_or_else(|| {
        Failure::new(Exit::Usage, &LoginError::NoProfile).hint(Some("set VERGE_PROFILE to the path of a file"))
    })?;
    let options = context.cli.global.connection_options();
    let origin: ServerUrl = url.parse().map_err(ConnectionError::from)?;
    endpoints::check_encrypted(&origin, &options)?;
    let pin = match endpoints::given_pin(&options, context.environment)? {
        Some(pin) => Some(pin),
        None => trusted_key(&origin, context).await?,
    };
    let token = if let Some(path) = options.token_file {
        endpoints::read_token(path)?
    } else {
        let text = context.output.read_secret(&format!("token for {origin} (not shown): "));
        Token::new(text.map_err(|error| Failure::new(Exit::Usage, &LoginError::Input(error)))?)
    };
    token::check(token.expose())
        .map_err(|error| Failure::new(Exit::NotAllowed, &LoginError::Token(error)).hint(Some(TOKEN_HINT)))?;
    let client = Client::with_pin(origin.clone(), &token, pin).map_err(ConnectionError::from)?;
    match client.get("/v1/token").await {
        Ok(TokenOwner::Admin) => {}
        Ok(owner) => return Err(Failure::new(Exit::NotAllowed, &LoginError::Owner(owner)).hint(Some(TOKEN_HINT))),
        Err(error @ ClientError::Refused { .. }) if error.code() == Some("invalid_token") => {
            let failure = Failure::from(error);
            return Err(Failure { hints: vec![TOKEN_HINT.to_owned()], ..failure });
        }
        Err(error) => return Err(error.into()),
    }
    // That of another origin is replaced; of the same one, what it has besides is kept.
    let before = profile::load(path).ok().flatten().filter(|before| before.origin.parse().as_ref() == Ok(&origin));
    let name_server = before.and_then(|before| before.name_server);
    let profile = Profile { origin: origin.to_string(), token, pin, name_server };
    profile::save(&profile, path).map_err(|error| Failure::new(Exit::Failure, &error))?;
    let answer = json!({ "origin": origin.to_string(), "pin": pin, "profile": path });
    context.print_result(&answer, || Ok(format!("logged in to {origin}; the token is kept in {}", path.display())))
}

/// The pin of a key that the user trusts; `None` if the certificate of the origin is valid for its name.
async fn trusted_key(origin: &ServerUrl, context: &Context<'_>) -> Result<Option<KeyPin>, Failure> {
    let Some(found) = presented_key(origin).await.map_err(ConnectionError::from)?? else { return Ok(None) };
    let unknown = LoginError::UnknownKey { origin: origin.to_string(), found };
    let question = format!(
        "the certificate of {origin} is not valid for its name; its key has the pin\n  {found}\nCompare it with what \
         `verge-origin pin` prints on the machine of the origin. Are they the same?"
    );
    match context.output.confirm(question) {
        Some(true) => Ok(Some(found)),
        Some(false) => Err(Failure {
            exit: Exit::Refused,
            message: format!("{}: nothing was stored", error_chain(&unknown)),
            details: Vec::new(),
            hints: Vec::new(),
        }),
        None => Err(Failure::new(Exit::Refused, &unknown).hint(Some(
            "compare it with what `verge-origin pin` prints on its machine, and use --pin if they are the same",
        ))),
    }
}

/// Deletes the profile.
pub(super) fn logout(context: &Context<'_>) -> Result<Exit, Failure> {
    let deleted = context.environment.profile.as_deref().map_or(Ok(false), profile::delete);
    let was_logged_in = deleted.map_err(|error| Failure::new(Exit::Failure, &error))?;
    context.print_result(&json!({ "logged_out": was_logged_in }), || {
        Ok(if was_logged_in { "logged out: the token is forgotten here, and still works" } else { "not logged in" }
            .to_owned())
    })
}
