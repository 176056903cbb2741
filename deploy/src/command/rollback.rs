//! `verge rollback`.

use serde::Serialize;
use verge_protocol::{ChannelName, ReleaseNumber, Seq, SiteName};

use super::{Context, summary};
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::follow::Edges;
use crate::project::Project;
use crate::rollback::Rollback;

/// `verge rollback --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    channel: &'a ChannelName,
    release: ReleaseNumber,
    from: ReleaseNumber,
    epoch: Seq,
    url: &'a str,
    edges: &'a Edges,
}

pub(super) async fn run(arguments: &cli::Rollback, context: &Context<'_>) -> Result<Exit, Failure> {
    let output = context.output;
    let site = Project::find(None, &context.environment.current_dir)?.site(arguments.site.site.as_ref())?;
    let client = context.client()?;
    let channel = &arguments.channel.channel;
    let wait = !arguments.channel.no_wait;
    let rolled = Rollback { client: &client, site: &site, channel, to: arguments.to, wait }.run(output).await?;
    let followed = &rolled.followed;
    followed.warn(output);
    let released = &followed.released;
    if output.manner().json {
        let line = Line {
            site: &site,
            channel,
            release: released.release,
            from: rolled.from,
            epoch: released.epoch,
            url: &released.url,
            edges: &followed.edges,
        };
        output.result(serde_json::to_string(&line).expect("plain data becomes JSON"))?;
    } else if output.manner().quiet {
        output.result(&released.url)?;
    } else {
        let style = output.results_style();
        let name = style.clone().bold().apply_to(format!("{site} {}", released.release));
        let place = if channel.is_live() { "live".to_owned() } else { format!("on {channel}") };
        let state = if rolled.from == released.release {
            format!("was {place} already")
        } else {
            format!("is {place} again, after {}", rolled.from)
        };
        let mut lines = vec![format!("{name} {state}\n")];
        if wait {
            lines.push(summary::row("edges", &summary::edges(&followed.edges, &style), &style));
        }
        lines.push(summary::row("open", &summary::link(&released.url, &style), &style));
        output.say("");
        output.result(lines.join("\n"))?;
    }
    Ok(followed.exit())
}
