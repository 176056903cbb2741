//! `verge dns`: the name servers, and why they answer what they do.

mod render;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::api::{IssuedToken, NameServer, TokenOwner};
use verge_protocol::explanation::Explanation;

use super::context::Context;
use super::join_code::Join;
use crate::cli;
use crate::endpoints;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(command: &cli::Dns, context: &Context<'_>) -> Result<Exit, Failure> {
    match command {
        cli::Dns::Explain { address, name, name_server } => {
            let options = context.cli.global.connection_options();
            let name_server = endpoints::name_server(name_server.as_deref(), &options, context.environment)?;
            let answer: Value = name_server.explain(*address, name.as_deref()).await?;
            context
                .print_result(&answer, || Ok(render::explanation(&Explanation::deserialize(&answer)?, context.output)))
        }
        cli::Dns::Add { name_server: name, address, join } => {
            let client = context.client()?;
            let addresses: Vec<String> = address.iter().map(ToString::to_string).collect();
            let options =
                if addresses.is_empty() { String::new() } else { format!(" --address {}", addresses.join(",")) };
            let join = Join::make(TokenOwner::NameServer(name.clone()), join, &options, &client, context).await?;
            join.print_notice(context);
            context.print_result(&json!({ "name_server": name, "join": join.json() }), || Ok(join.command.clone()))
        }
        cli::Dns::Servers => {
            let answer: Value = context.client()?.get("/v1/name-servers").await?;
            context.print_list(&answer, render::NO_NAME_SERVERS, |name_servers: &[NameServer]| {
                render::name_servers(name_servers, context.environment.now, context.output)
            })
        }
        cli::Dns::Remove { name_server: name } => {
            context.client()?.delete(&format!("/v1/name-servers/{name}")).await?;
            context.print_result(&json!({ "name_server": name, "removed": true }), || {
                Ok(format!(
                    "revoked the token of {name}: it no longer receives changes, and answers from its last state"
                ))
            })
        }
        cli::Dns::Token { name_server: name } => {
            let client = context.client()?;
            let issued: IssuedToken = client.issue_name_server_token(name).await?;
            context.print_token_notice(name);
            context.print_result(&json!({ "name_server": name, "token": issued.token }), || Ok(issued.token.clone()))
        }
    }
}
