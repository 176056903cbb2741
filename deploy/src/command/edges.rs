//! `verge edges`.

mod last_edge;
mod render;
mod settings;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::api::{Edge, ForceEdge, IssuedToken, RekeyRequest, TokenOwner};
use verge_protocol::fleet::EdgeState;
use verge_protocol::{DomainName, EdgeName};

use super::certs;
use super::context::Context;
use super::join_code::Join;
use super::region_check;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(command: Option<&cli::Edges>, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        None => {
            let answer: Value = client.get("/v1/edges").await?;
            let edges = Vec::<Edge>::deserialize(&answer);
            let exit = context.print_list(&answer, render::NO_EDGES, |edges: &[Edge]| {
                render::edges(edges, context.environment.now, context.output)
            })?;
            if let Ok(edges) = edges {
                region_check::warn_uncovered_sites(&edges, &client, context).await;
            }
            Ok(exit)
        }
        Some(cli::Edges::Add { edge, args, no_join_code, join }) => {
            let current = find(edge, &client).await?;
            let has_joined = current.as_ref().is_some_and(|current| current.has_token);
            let settings = settings::merge(args, current.and_then(|current| current.state))?;
            let state: Value = client.put(&path(edge), &settings).await?;
            context.output.info(render::edge(edge, &EdgeState::deserialize(&state)?, context.output));
            let join =
                if has_joined || *no_join_code { None } else { Some(make_join(edge, join, &client, context).await?) };
            if context.output.options().json {
                let join = join.as_ref().map(Join::json);
                context.output.result(json!({ "edge": edge, "state": state, "join": join }))?;
            } else if let Some(join) = join {
                join.print_notice(context);
                context.output.result(join.command)?;
            } else if !no_join_code {
                let program = &context.environment.program;
                context.output.info(format_args!(
                    "{edge} has joined; use `{program} edges join-code {edge}` to have another machine in its place"
                ));
            }
            region_check::warn_uncovered_regions(&client, context).await;
            Ok(Exit::Success)
        }
        Some(cli::Edges::Set { edge, args }) => {
            let current = find(edge, &client).await?.and_then(|current| current.state);
            let Some(current) = current else { return Err(settings::not_configured(edge)) };
            let settings = settings::merge(args, Some(current))?;
            print_state(edge, &client.put(&path(edge), &settings).await?, &client, context).await
        }
        Some(cli::Edges::Force { edge, to, yes }) => {
            if *to == cli::ForceArg::Down && !yes {
                confirm_removal_from_dns(edge, &client, context).await?;
            }
            let body = ForceEdge { force: (*to).into() };
            print_state(edge, &client.put(&format!("{}/force", path(edge)), &body).await?, &client, context).await
        }
        Some(cli::Edges::Remove { edge, yes, compromised }) => {
            if !yes {
                confirm_removal_from_dns(edge, &client, context).await?;
            }
            client.delete(&path(edge)).await?;
            // Now that it gets no key any more.
            let rekeyed = if *compromised { Some(rekey_all(edge, &client).await?) } else { None };
            let exit = context.print_result(&json!({ "edge": edge, "removed": true, "rekeyed": rekeyed }), || {
                let removed = format!("removed {edge} and revoked its token: it is cut off from the origin");
                Ok(match &rekeyed {
                    Some(domains) => format!("{removed}\n{}", certs::rekeyed(domains, context)),
                    None => removed,
                })
            })?;
            region_check::warn_uncovered_regions(&client, context).await;
            Ok(exit)
        }
        Some(cli::Edges::JoinCode { edge, join }) => {
            let join = make_join(edge, join, &client, context).await?;
            join.print_notice(context);
            context.print_result(&json!({ "edge": edge, "join": join.json() }), || Ok(join.command.clone()))
        }
        Some(cli::Edges::Token { edge }) => {
            let token = issue_token(&client, edge, context).await?;
            context.print_result(&json!({ "edge": edge, "token": token }), || Ok(token.clone()))
        }
    }
}

/// Replaces all keys after an edge was removed.
async fn rekey_all(edge: &EdgeName, client: &Client) -> Result<Vec<DomainName>, Failure> {
    client.post("/v1/certificates/rekey", &RekeyRequest::All).await.map_err(|error| {
        let failure = Failure::from(error);
        Failure { message: format!("{edge} is removed, but keys are not replaced: {}", failure.message), ..failure }
            .hint(Some("replace them with `verge certs rekey --all`"))
    })
}

async fn find(edge: &EdgeName, client: &Client) -> Result<Option<Edge>, Failure> {
    let edges: Vec<Edge> = client.get("/v1/edges").await?;
    Ok(edges.into_iter().find(|known| known.name == *edge))
}

/// Asks before the last live edge is taken out of DNS answers.
async fn confirm_removal_from_dns(edge: &EdgeName, client: &Client, context: &Context<'_>) -> Result<(), Failure> {
    let edges: Vec<Edge> = client.get("/v1/edges").await?;
    match last_edge::consequence(edge, &edges, context.environment.now) {
        Some(consequence) => context.confirm(&consequence),
        None => Ok(()),
    }
}

fn path(edge: &EdgeName) -> String {
    format!("/v1/edges/{edge}")
}

/// Prints the settings of an edge after a change.
async fn print_state(edge: &EdgeName, state: &Value, client: &Client, context: &Context<'_>) -> Result<Exit, Failure> {
    let exit = context.print_result(&json!({ "edge": edge, "state": state }), || {
        Ok(render::edge(edge, &EdgeState::deserialize(state)?, context.output))
    })?;
    region_check::warn_uncovered_regions(client, context).await;
    Ok(exit)
}

async fn make_join(
    edge: &EdgeName,
    args: &cli::JoinArgs,
    client: &Client,
    context: &Context<'_>,
) -> Result<Join, Failure> {
    Join::make(TokenOwner::Edge(edge.clone()), args, "", client, context).await
}

async fn issue_token(client: &Client, edge: &EdgeName, context: &Context<'_>) -> Result<String, Failure> {
    let issued: IssuedToken = client.issue_edge_token(edge).await?;
    context.print_token_notice(edge);
    Ok(issued.token)
}
