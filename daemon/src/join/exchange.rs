//! The exchange of a join code.

use futures_util::FutureExt as _;
use verge_protocol::JoinCode;
use verge_protocol::api::{JoinRequest, Joined, TokenOwner};

use crate::origins::{OriginError, OriginUrl, Origins};

/// How the process names itself.
pub(super) const USER_AGENT: &str = concat!("verge-join/", env!("CARGO_PKG_VERSION"));

/// Exchanges a code at the first origin that answers.
pub(super) async fn exchange(
    code: &JoinCode,
    urls: Vec<OriginUrl>,
    public_key: Option<String>,
) -> anyhow::Result<Joined> {
    let origins = Origins::without_token(urls, code.pin, USER_AGENT)?;
    let request = JoinRequest { secret: code.secret.clone(), public_key };
    let attempt = |origin| {
        let request = origins.post(origin, "v1/join").json(&request);
        async { origins.send(request).await?.json::<Joined>().await.map_err(OriginError::truncated) }.boxed()
    };
    let joined = origins.first(attempt).await.map_err(|error| refusal(error, &code.owner))?;
    anyhow::ensure!(joined.owner == code.owner, "the origin answered with a token of {}", joined.owner);
    Ok(joined)
}

/// The message of an origin that refuses a code, with what to do.
fn refusal(error: OriginError, owner: &TokenOwner) -> anyhow::Error {
    match error {
        OriginError::Status { error: Some(body), .. } if body.code.contains("join_code") => {
            anyhow::anyhow!("{}; make another code with `{}`", body.message, command(owner))
        }
        error => error.into(),
    }
}

/// The command that makes a join code for `owner`.
fn command(owner: &TokenOwner) -> String {
    match owner {
        TokenOwner::NameServer(name) => format!("verge dns add {name}"),
        TokenOwner::Edge(name) => format!("verge edges join-code {name}"),
        TokenOwner::Admin => "verge edges join-code NAME".to_owned(),
    }
}
