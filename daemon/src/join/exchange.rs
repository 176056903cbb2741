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
            let hint = match owner {
                // The origin does not tell which.
                TokenOwner::Edge(edge) if body.code == "unknown_join_code" => {
                    format!(", or add the edge with `verge edges add {edge}` if it does not exist")
                }
                _ => String::new(),
            };
            anyhow::anyhow!("{}; make another code with `{}`{hint}", body.message, command(owner))
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

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;
    use verge_protocol::api::ErrorBody;

    use super::*;

    #[test]
    fn refused_code_says_how_to_make_another() {
        let hint = |code: &str, owner: TokenOwner| {
            let body = ErrorBody { code: code.to_owned(), message: "refused".to_owned(), hint: None };
            let origin = "https://origin.example.com".to_owned();
            let error = OriginError::Status { origin, status: StatusCode::NOT_FOUND, error: Some(Box::new(body)) };
            refusal(error, &owner).to_string()
        };
        let edge = || TokenOwner::Edge("par-1".parse().unwrap());
        assert_eq!(
            hint("unknown_join_code", edge()),
            "refused; make another code with `verge edges join-code par-1`, or add the edge with `verge edges add par-1` if it does not exist"
        );
        assert_eq!(hint("join_code_used", edge()), "refused; make another code with `verge edges join-code par-1`");
        let name_server = TokenOwner::NameServer("ns-1".parse().unwrap());
        assert_eq!(hint("unknown_join_code", name_server), "refused; make another code with `verge dns add ns-1`");
    }
}
