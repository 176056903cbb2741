//! `verge edges`: the fleet, how readers are sent to it, and tokens for those who join it.

mod describe;
mod listing;

use serde::Deserialize as _;
use serde_json::{Value, json};
use verge_protocol::EdgeName;
use verge_protocol::api::{ForceEdge, IssuedToken};
use verge_protocol::fleet::EdgeState;

use super::{Context, fences, status, token};
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;

pub(super) async fn run(command: Option<&cli::Edges>, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    match command {
        None => {
            let fleet = client.overview().await?;
            let answer = serde_json::to_value(&fleet.edges)?;
            let exit = context
                .answer(&answer, || Ok(listing::fleet(&fleet.edges, context.environment.now, context.output)))?;
            fences::warn(&fleet, context);
            Ok(exit)
        }
        Some(cli::Edges::Add { edge, described, no_token }) => {
            let fleet = client.overview().await?;
            let known = fleet.edges.into_iter().find(|known| known.name == *edge);
            // It is not to lose a token that it is at work by. An older origin does not say whether there is one, but whom it hears.
            let has_token = known.as_ref().is_some_and(|known| known.has_token || known.last_seen.is_some());
            let settings = describe::settings(described, known.and_then(|known| known.state))?;
            let state: Value = client.put(&path(edge), &settings).await?;
            let told = listing::edge(edge, &EdgeState::deserialize(&state)?, context.output);
            context.output.say(told);
            let token = if !has_token && !no_token { Some(issue(&client, edge, context).await?) } else { None };
            if context.output.manner().json {
                context.output.result(json!({ "edge": edge, "state": state, "token": token }))?;
            } else if let Some(token) = token {
                context.output.result(token)?;
            } else if !no_token {
                let hint = format!("`{} edges token {edge}`", context.environment.program);
                context.output.say(format_args!("it has a token, which goes on working; {hint} issues another"));
            }
            fences::check(&client, context).await;
            Ok(Exit::Success)
        }
        Some(cli::Edges::Set { edge, described }) => {
            let fleet = client.overview().await?;
            let current = fleet.edges.into_iter().find(|known| known.name == *edge).and_then(|known| known.state);
            let Some(current) = current else { return Err(describe::not_described(edge)) };
            let settings = describe::settings(described, Some(current))?;
            answer(edge, &client.put(&path(edge), &settings).await?, &client, context).await
        }
        Some(cli::Edges::Force { edge, to }) => {
            let wish = ForceEdge { force: (*to).into() };
            answer(edge, &client.put(&format!("{}/force", path(edge)), &wish).await?, &client, context).await
        }
        Some(cli::Edges::Remove { edge }) => {
            client.delete(&path(edge)).await?;
            let exit = context.answer(&json!({ "edge": edge, "removed": true }), || {
                Ok(format!("{edge} is removed; no reader is sent to it, and its token has stopped working"))
            })?;
            fences::check(&client, context).await;
            Ok(exit)
        }
        Some(cli::Edges::Token { edge }) => {
            let token = issue(&client, edge, context).await?;
            context.answer(&json!({ "edge": edge, "token": token }), || Ok(token.clone()))
        }
    }
}

fn path(edge: &EdgeName) -> String {
    format!("/v1/edges/{edge}")
}

/// Tells how readers are sent to an edge now.
async fn answer(edge: &EdgeName, state: &Value, client: &Client, context: &Context<'_>) -> Result<Exit, Failure> {
    let exit = context.answer(&json!({ "edge": edge, "state": state }), || {
        Ok(listing::edge(edge, &EdgeState::deserialize(state)?, context.output))
    })?;
    fences::check(client, context).await;
    Ok(exit)
}

async fn issue(client: &Client, edge: &EdgeName, context: &Context<'_>) -> Result<String, Failure> {
    let issued: IssuedToken = client.issue_edge_token(edge).await?;
    token::introduce(edge, context.output);
    Ok(issued.token)
}
