//! How a rollout has ended, as far as is known.

use std::time::Duration;

use verge_protocol::api::LaggingEdge;
use verge_protocol::{ChannelName, Digest, EdgeName, ReleaseNumber, Seq, SiteName, Timestamp};

use super::confirmations::Confirmations;
use super::edge_check::{self, EdgeCheck};
use super::wait::Wait;
use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, human};

/// The release that a channel points at now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// The channel's new epoch.
    pub epoch: Seq,
    /// The URL of the channel.
    pub url: String,
    /// Warnings of the origin.
    pub warnings: Vec<String>,
}

/// How far a rollout has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The release.
    pub released: Released,
    /// The edges that serve it; incomplete if the command did not wait for all.
    pub confirmations: Confirmations,
    /// Whether the origin reported which edges serve it.
    pub edges_are_known: bool,
    /// The error that ended the event stream after the release: the state of the other edges is unknown.
    pub interruption: Option<String>,
    /// What the edges themselves answered; empty if they were not asked.
    pub checked: Vec<EdgeCheck>,
    /// The release that another push or rollback has since moved the channel to, or is about to, if an edge answered with another release.
    pub replaced_by: Option<ReleaseNumber>,
    /// What was waited for.
    pub wait: Wait,
    /// Whether a few edges served it first.
    pub was_tried: bool,
}

impl Rollout {
    /// A rollout without interruption. `confirmations`: `None` if the command did not wait, or the origin does not tell.
    pub(super) fn new(released: Released, wait: Wait, confirmations: Option<Confirmations>) -> Self {
        Self {
            released,
            edges_are_known: confirmations.is_some(),
            confirmations: confirmations.unwrap_or_default(),
            interruption: None,
            checked: Vec::new(),
            replaced_by: None,
            wait,
            was_tried: false,
        }
    }

    /// Asks the edges that confirmed it which release they serve, for at most `limit`. That none can be reached from here is no
    /// error, nor that the next release has followed.
    pub async fn ask_edges(&mut self, client: &Client, site: &SiteName, channel: &ChannelName, limit: Duration) {
        if self.confirmations.confirmed.is_empty() {
            return;
        }
        self.checked = edge_check::ask_edges(client, &self.released.url, &self.confirmations.confirmed, limit).await;
        if self.serving_others().next().is_some() {
            let latest = edge_check::latest_release(client, site, channel, limit).await;
            self.replaced_by = latest.filter(|latest| *latest != self.released.release);
        }
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        let is_success = self.interruption.is_none()
            && self.wait.is_satisfied(&self.confirmations)
            && self.serving_others().next().is_none()
            && self.ignorant_of_host().next().is_none();
        if is_success || self.wait == Wait::No { Exit::Success } else { Exit::Lagging }
    }

    /// Prints a warning for every edge that does not serve the release, or may not.
    pub fn warn(&self, output: &Output, now: Timestamp) {
        let release = self.released.release;
        for lagging in &self.confirmations.lagging {
            let LaggingEdge { edge, reason, away, last_seen } = lagging;
            let reason = human::line(reason, 200);
            match (away, last_seen) {
                (true, Some(at)) => output.warn(format_args!(
                    "{edge} does not serve {release}: away for {}{}",
                    human::span(at.age(now)),
                    self.consequence_of_absence()
                )),
                (true, None) => output.warn(format_args!(
                    "{edge} does not serve {release}: away, {reason}{}",
                    self.consequence_of_absence()
                )),
                (false, _) => output.warn(format_args!("{edge} does not serve {release} yet: {reason}")),
            }
        }
        for (edge, other) in self.serving_others() {
            output.warn(format_args!("{edge} has confirmed {release}, but answers with {other}"));
        }
        for edge in self.ignorant_of_host() {
            let url = human::line(&self.released.url, 200);
            output.warn(format_args!(
                "{edge} has confirmed {release}, but has no site at {url}: see `base_domain` of its configuration"
            ));
        }
        if let Some(other) = self.replaced_by {
            output.info(format_args!("{release} has been replaced by {other} meanwhile"));
        }
        if let Some(error) = &self.interruption {
            output.warn(format_args!(
                "{release} is released, but the state of the edges is unknown: {}",
                human::line(error, 200)
            ));
        }
        if self.exit() == Exit::Lagging {
            output.hint("run `verge status` to see when all edges serve it");
        }
    }

    fn consequence_of_absence(&self) -> &'static str {
        let fails_nothing = self.wait != Wait::Strict && !self.confirmations.confirmed.is_empty();
        if fails_nothing { ", which fails nothing" } else { "" }
    }

    /// Edges that answer with another release, which has not replaced it since.
    fn serving_others(&self) -> impl Iterator<Item = (&EdgeName, ReleaseNumber)> {
        let others = self.checked.iter().filter_map(|check| Some((&check.edge, check.release?)));
        others.filter(|(_, release)| *release != self.released.release && Some(*release) != self.replaced_by)
    }

    /// Edges that answer as they do for a host of no site.
    fn ignorant_of_host(&self) -> impl Iterator<Item = &EdgeName> {
        let is_ignorant = |check: &&EdgeCheck| check.release.is_none() && check.status == Some(404);
        self.checked.iter().filter(is_ignorant).map(|check| &check.edge)
    }
}
