//! The summary of a command that moves a channel to an existing release, as text and as JSON.

use serde::Serialize;
use verge_protocol::{ChannelName, ReleaseNumber, Seq, SiteName};

use super::context::Context;
use super::render;
use crate::client::Client;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::rollout::{Confirmations, EdgeCheck, Rollout};

/// What was moved.
pub(super) struct MoveSummary<'a> {
    pub(super) site: &'a SiteName,
    pub(super) channel: &'a ChannelName,
    /// The release that the channel pointed at before; `None`: it did not exist.
    pub(super) from: Option<ReleaseNumber>,
    pub(super) rollout: Rollout,
    /// What follows the name of the release, such as ` of pr-12`.
    pub(super) origin: String,
    /// Whether the channel is said to point at the release again.
    pub(super) is_return: bool,
}

/// `verge rollback --json` and `verge promote --json`. Stable: fields are added, never renamed.
#[derive(Serialize)]
struct Line<'a> {
    site: &'a SiteName,
    channel: &'a ChannelName,
    release: ReleaseNumber,
    from: Option<ReleaseNumber>,
    epoch: Seq,
    url: &'a str,
    edges: &'a Confirmations,
    checked: &'a [EdgeCheck],
    replaced_by: Option<ReleaseNumber>,
}

impl MoveSummary<'_> {
    /// Asks the edges which release they serve, and prints the summary.
    pub(super) async fn print(mut self, client: &Client, context: &Context<'_>) -> Result<Exit, Failure> {
        let output = context.output;
        self.rollout.ask_edges(client, self.site, self.channel, context.limit_of_questions()).await;
        self.rollout.warn(output, context.environment.now);
        if output.options().json {
            output.result(self.json())?;
        } else if output.options().quiet {
            output.result(&self.rollout.released.url)?;
        } else {
            output.info("");
            output.result(self.text(context))?;
        }
        Ok(self.rollout.exit())
    }

    fn json(&self) -> String {
        let released = &self.rollout.released;
        let line = Line {
            site: self.site,
            channel: self.channel,
            release: released.release,
            from: self.from,
            epoch: released.epoch,
            url: &released.url,
            edges: &self.rollout.confirmations,
            checked: &self.rollout.checked,
            replaced_by: self.rollout.replaced_by,
        };
        serde_json::to_string(&line).expect("the summary can be serialized")
    }

    fn text(&self, context: &Context<'_>) -> String {
        let Rollout { released, edges_are_known, .. } = &self.rollout;
        let style = context.output.results_style();
        let name = style.clone().bold().apply_to(format!("{} {}", self.site, released.release));
        let position = if self.channel.is_live() { "live".to_owned() } else { format!("on {}", self.channel) };
        let again = if self.is_return { " again" } else { "" };
        let state = match self.from {
            Some(from) if from == released.release => format!("was already {position}"),
            Some(from) => format!("is {position}{again}, replacing {from}"),
            None => format!("is {position}"),
        };
        let mut lines = vec![format!("{name}{} {state}\n", self.origin)];
        if *edges_are_known {
            lines.push(render::row("edges", &render::edges(&self.rollout, context.output), &style));
        }
        lines.push(render::row("url", &render::link(&released.url, &style), &style));
        lines.join("\n")
    }
}
