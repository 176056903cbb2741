//! `verge dns`: the nodes that answer DNS.

use verge_protocol::api::IssuedToken;

use super::Context;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(command: &cli::Dns, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        cli::Dns::Token { node } => {
            let IssuedToken { token } = client.issue_node_token(node).await?;
            context.output.say(format_args!("a token for {node}, shown once; earlier ones have stopped working:"));
            context.answer(&serde_json::json!({ "node": node, "token": token }), || Ok(token.clone()))
        }
    }
}
