//! `verge edges`: the fleet, and tokens for those who join it.

use verge_protocol::api::{EdgeToken, Status};

use super::{Context, status};
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(command: Option<&cli::Edges>, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        None => {
            let fleet: Status = client.get("/v1/status").await?;
            let answer = serde_json::to_value(&fleet.edges)?;
            context.answer(&answer, || Ok(status::edges(&fleet, context.environment.now, context.output)))
        }
        Some(cli::Edges::Token { edge }) => {
            let EdgeToken { token } = client.issue_edge_token(edge).await?;
            context.output.say(format_args!("a token for {edge}, shown once; earlier ones have stopped working:"));
            context.answer(&serde_json::json!({ "edge": edge, "token": token }), || Ok(token.clone()))
        }
    }
}
