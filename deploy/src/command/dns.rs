//! `verge dns`: the nodes that answer DNS, and why they answer what they do.

mod listing;
mod told;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::api::{IssuedToken, NameServer};
use verge_protocol::explanation::Explanation;

use super::context::Context;
use crate::cli;
use crate::connection;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(command: &cli::Dns, context: &Context<'_>) -> Result<Exit, Failure> {
    match command {
        cli::Dns::Explain { address, name, name_server } => {
            let options = context.cli.global.connection_options();
            let node = connection::name_server(name_server.as_deref(), &options, context.environment)?;
            let answer: Value = node.explain(*address, name.as_deref()).await?;
            context.answer(&answer, || Ok(told::explanation(&Explanation::deserialize(&answer)?, context.output)))
        }
        cli::Dns::Servers => {
            let answer: Value = context.client()?.get("/v1/name-servers").await?;
            context.answer(&answer, || {
                let nodes = Vec::<NameServer>::deserialize(&answer)?;
                Ok(listing::nodes(&nodes, context.environment.now, context.output))
            })
        }
        cli::Dns::Remove { name_server: node } => {
            context.client()?.delete(&format!("/v1/name-servers/{node}")).await?;
            context.answer(&json!({ "node": node, "removed": true }), || {
                Ok(format!("the token of {node} has stopped working; it answers from what it was told before"))
            })
        }
        cli::Dns::Token { name_server: node } => {
            let client = context.client()?;
            let issued: IssuedToken = client.issue_name_server_token(node).await?;
            context.introduce_token(node);
            context.answer(&json!({ "node": node, "token": issued.token }), || Ok(issued.token.clone()))
        }
    }
}
