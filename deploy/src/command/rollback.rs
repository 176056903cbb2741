//! `verge rollback`.

use serde::Serialize;
use verge_protocol::{ChannelName, ReleaseNumber, Seq, SiteName};

use super::context::Context;
use super::render;
use crate::cli;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::rollback::Rollback;
use crate::rollout::Confirmations;

/// `verge rollback --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    channel: &'a ChannelName,
    release: ReleaseNumber,
    from: ReleaseNumber,
    epoch: Seq,
    url: &'a str,
    edges: &'a Confirmations,
}

pub(super) async fn run(arguments: &cli::Rollback, context: &Context<'_>) -> Result<Exit, Failure> {
    let output = context.output;
    let project = Project::find(None, &context.environment.current_dir)?;
    let site = project.site(arguments.site.site.as_ref())?;
    let client = context.client()?;
    let channel = &arguments.channel.channel(project.settings.channel.as_ref()).name;
    let wait = !arguments.channel.no_wait;
    let rolled = Rollback { client: &client, site: &site, channel, to: arguments.to, wait }.run(output).await?;
    let rollout = &rolled.rollout;
    rollout.warn(output);
    let released = &rollout.released;
    if output.options().json {
        let line = Line {
            site: &site,
            channel,
            release: released.release,
            from: rolled.from,
            epoch: released.epoch,
            url: &released.url,
            edges: &rollout.confirmations,
        };
        output.result(serde_json::to_string(&line).expect("the summary can be serialized"))?;
    } else if output.options().quiet {
        output.result(&released.url)?;
    } else {
        let style = output.results_style();
        let name = style.clone().bold().apply_to(format!("{site} {}", released.release));
        let position = if channel.is_live() { "live".to_owned() } else { format!("on {channel}") };
        let state = if rolled.from == released.release {
            format!("was already {position}")
        } else {
            format!("is {position} again, replacing {}", rolled.from)
        };
        let mut lines = vec![format!("{name} {state}\n")];
        if wait {
            lines.push(render::row("edges", &render::edges(&rollout.confirmations, &style), &style));
        }
        lines.push(render::row("url", &render::link(&released.url, &style), &style));
        output.info("");
        output.result(lines.join("\n"))?;
    }
    Ok(rollout.exit())
}
