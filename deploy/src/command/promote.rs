//! `verge promote`.

use serde::Serialize;
use verge_protocol::{ChannelName, ReleaseNumber, Seq, SiteName};

use super::context::Context;
use super::render;
use crate::cli::{self, PromoteSource};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::project::Project;
use crate::promote::{Promoted, Promotion};
use crate::rollout::Confirmations;

/// `verge promote --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    channel: &'a ChannelName,
    release: ReleaseNumber,
    from: Option<ReleaseNumber>,
    epoch: Seq,
    url: &'a str,
    edges: &'a Confirmations,
}

pub(super) async fn run(arguments: &cli::Promote, context: &Context<'_>) -> Result<Exit, Failure> {
    let cli::Promote { source, to, site, no_wait } = arguments;
    let output = context.output;
    let site = Project::find(None, &context.environment.current_dir)?.site(site.site.as_ref())?;
    let client = context.client()?;
    let (channel, wait) = (&to.name, !no_wait);
    let Promoted { from, rollout } =
        Promotion { client: &client, site: &site, source, to: channel, wait }.run(output).await?;
    rollout.warn(output);
    let released = &rollout.released;
    if output.options().json {
        let line = Line {
            site: &site,
            channel,
            release: released.release,
            from,
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
        let of = match source {
            PromoteSource::Channel(source) => format!(" of {source}"),
            PromoteSource::Release(_) => String::new(),
        };
        let mut lines = vec![format!("{name}{of} {}\n", state(channel, from, released.release))];
        if wait {
            lines.push(render::row("edges", &render::edges(&rollout.confirmations, &style), &style));
        }
        lines.push(render::row("url", &render::link(&released.url, &style), &style));
        output.info("");
        output.result(lines.join("\n"))?;
    }
    Ok(rollout.exit())
}

fn state(channel: &ChannelName, from: Option<ReleaseNumber>, to: ReleaseNumber) -> String {
    let position = if channel.is_live() { "live".to_owned() } else { format!("on {channel}") };
    match from {
        Some(from) if from == to => format!("was already {position}"),
        Some(from) => format!("is {position}, replacing {from}"),
        None => format!("is {position}"),
    }
}
