//! `verge orphans`.

use serde_json::json;
use verge_protocol::EdgeName;
use verge_protocol::api::{Problem, RemoveOrphans, Status};

use super::context::Context;
use crate::cli;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::human;

const NONE: &str = "no orphans: edges serve nothing that the origin does not know";

pub(super) async fn run(command: Option<&cli::Orphans>, context: &Context<'_>) -> Result<Exit, Failure> {
    let client = context.client()?;
    let (keys, edges) = orphans(&client).await?;
    let Some(cli::Orphans::Remove { keys: named, all, yes }) = command else {
        if !keys.is_empty() {
            let edges: Vec<String> = edges.iter().map(ToString::to_string).collect();
            context.output.info(format_args!("served by {}, but unknown to the origin:", edges.join(", ")));
        }
        return context.print_list(&json!(keys), NONE, |keys: &[String]| {
            keys.iter().map(|key| human::line(key, 300)).collect::<Vec<_>>().join("\n")
        });
    };
    let keys = if *all { keys } else { named.clone() };
    if keys.is_empty() {
        context.output.info(NONE);
        return Ok(Exit::Success);
    }
    if !yes {
        let count = human::count(keys.len() as u64, "key");
        context.confirm(&format!("edges will no longer serve {count} that the origin does not know"))?;
    }
    let body = RemoveOrphans { keys };
    let RemoveOrphans { keys } = client.post("/v1/orphans/remove", &body).await?;
    for key in body.keys.iter().filter(|key| !keys.contains(key)) {
        context.output.warn(format_args!("`{}` is no orphan: the origin has it", human::line(key, 100)));
    }
    context
        .print_result(&json!({ "removed": keys }), || Ok(format!("removed {}", human::count(keys.len() as u64, "key"))))
}

/// The keys that edges serve and the origin does not know, and these edges.
async fn orphans(client: &Client) -> Result<(Vec<String>, Vec<EdgeName>), Failure> {
    let status: Status = client.get("/v1/status").await?;
    let orphans = status.problems.into_iter().find_map(|problem| match problem {
        Problem::Orphans { keys, edges } => Some((keys, edges)),
        _ => None,
    });
    Ok(orphans.unwrap_or_default())
}
