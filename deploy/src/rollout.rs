//! The rollout of a release: the channel moves, then every edge confirms that it serves the release.

use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use verge_protocol::api::{LaggingEdge, Progress, Release};
use verge_protocol::{ChannelName, Digest, EdgeName, ReleaseNumber, Seq, SiteName};

use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::{Output, Unit, human};

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

/// Which edges serve a release.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Confirmations {
    /// Edges that serve it.
    pub confirmed: Vec<EdgeName>,
    /// Edges that do not serve it yet, and why.
    pub lagging: Vec<LaggingEdge>,
}

/// How far a rollout has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollout {
    /// The release.
    pub released: Released,
    /// The edges that serve it; incomplete if the command did not wait.
    pub confirmations: Confirmations,
    /// The error that ended the event stream after the release: the state of the edges is unknown.
    pub interruption: Option<String>,
}

impl Rollout {
    /// The exit code.
    pub fn exit(&self) -> Exit {
        if self.interruption.is_none() && self.confirmations.lagging.is_empty() { Exit::Success } else { Exit::Lagging }
    }

    /// Prints a warning for every edge that does not serve the release, or may not.
    pub fn warn(&self, output: &Output) {
        let release = self.released.release;
        for LaggingEdge { edge, reason, .. } in &self.confirmations.lagging {
            output.warn(format_args!("{edge} does not serve {release} yet: {}", human::line(reason, 200)));
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
}

/// Why a channel did not move, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum RolloutError {
    /// Another push or rollback moved it first.
    #[error("another push came first: {0}")]
    Conflict(String),
    /// The request was sent, but the response of the origin was lost.
    #[error("cannot tell whether {channel} was updated")]
    OutcomeUnknown {
        /// The channel.
        channel: ChannelName,
        /// What happened instead.
        source: ClientError,
    },
    /// The channel has not moved.
    #[error(transparent)]
    Client(ClientError),
}

impl RolloutError {
    /// Interprets the error of a request that moves a channel. Asks the origin what the channel points at after a conflict.
    pub async fn new(error: ClientError, client: &Client, site: &SiteName, channel: &ChannelName) -> Self {
        match error {
            // A proxy, or an unreadable event, does not tell what the origin did.
            ClientError::ConnectionLost { .. }
            | ClientError::Stalled { .. }
            | ClientError::Gateway { .. }
            | ClientError::UnexpectedResponse { .. } => {
                Self::OutcomeUnknown { channel: channel.clone(), source: error }
            }
            ClientError::Refused { body, .. } if body.code == "conflict" => {
                let releases = client.get::<Vec<Release>>(&format!("/v1/sites/{site}/releases")).await;
                let current = releases.ok().and_then(|releases| current_release(&releases, channel));
                Self::Conflict(current.unwrap_or(body.message))
            }
            error => Self::Client(error),
        }
    }
}

fn current_release(releases: &[Release], channel: &ChannelName) -> Option<String> {
    let release = releases.iter().find(|release| release.channels.contains(channel))?;
    let provenance = [&release.provenance.author, &release.provenance.message];
    let provenance: Vec<String> = provenance.into_iter().flatten().map(|text| human::line(text, 60)).collect();
    let suffix = if provenance.is_empty() { String::new() } else { format!(" ({})", provenance.join(": ")) };
    Some(format!("{channel} now points at {}{suffix}", release.number))
}

/// Follows `events` until the channel has moved and, if `wait`, until every edge has confirmed.
pub async fn track(
    mut events: impl Stream<Item = Result<Progress, ClientError>> + Unpin,
    wait: bool,
    output: &Output,
) -> Result<Rollout, ClientError> {
    let released = until_released(&mut events, output).await?;
    let mut rollout = Rollout { released, confirmations: Confirmations::default(), interruption: None };
    if wait {
        match until_confirmed(&mut events, &mut rollout.confirmations, output).await {
            Ok(()) => {}
            Err(ClientError::Refused { body, .. }) => rollout.interruption = Some(body.message),
            Err(error) => rollout.interruption = Some(error.to_string()),
        }
    }
    Ok(rollout)
}

/// Turns the end of the stream and [`Progress::Failed`] into errors.
fn check_event(event: Option<Result<Progress, ClientError>>) -> Result<Progress, ClientError> {
    match event {
        Some(Ok(Progress::Failed(body))) => Err(ClientError::Refused { status: None, body }),
        Some(event) => event,
        None => Err(ClientError::ConnectionLost { reason: "the response ended early".to_owned() }),
    }
}

async fn until_released(
    events: &mut (impl Stream<Item = Result<Progress, ClientError>> + Unpin),
    output: &Output,
) -> Result<Released, ClientError> {
    // The step starts with the first file: there may be nothing to encode.
    let mut step = None;
    let mut encoded = 0;
    loop {
        match check_event(events.next().await)? {
            Progress::Encoding { done, total } => {
                encoded = done;
                let step = step.get_or_insert_with(|| output.step("encoding", Unit::Files, total));
                step.set_total(total);
                step.set_done(done);
            }
            Progress::Released { release, manifest, epoch, url, warnings } => {
                if let Some(step) = step {
                    step.finish(format_args!("encoded {}", human::count(encoded, "file")));
                }
                return Ok(Released { release, manifest, epoch, url, warnings });
            }
            _ => {}
        }
    }
}

async fn until_confirmed(
    events: &mut (impl Stream<Item = Result<Progress, ClientError>> + Unpin),
    confirmations: &mut Confirmations,
    output: &Output,
) -> Result<(), ClientError> {
    let step = output.step("rolling out", Unit::Edges, 0);
    loop {
        match check_event(events.next().await)? {
            Progress::Confirmed { edge, done, total, .. } => {
                confirmations.confirmed.push(edge);
                step.set_total(total);
                step.set_done(done);
                let names: Vec<&str> = confirmations.confirmed.iter().map(EdgeName::as_str).collect();
                step.set_message(names.join(" "));
            }
            Progress::Finished { confirmed, lagging, .. } => {
                *confirmations = Confirmations { confirmed, lagging };
                step.clear();
                return Ok(());
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream;
    use verge_protocol::Timestamp;
    use verge_protocol::api::{ErrorBody, Provenance};

    use super::*;
    use crate::output::OutputOptions;

    fn edge(name: &str) -> EdgeName {
        name.parse().unwrap()
    }

    fn released() -> Progress {
        let manifest = Digest::of(b"m");
        Progress::Released {
            release: ReleaseNumber(2),
            manifest,
            epoch: Seq(9),
            url: "http://a".into(),
            warnings: vec![],
        }
    }

    fn failed() -> Progress {
        Progress::Failed(ErrorBody { code: "storage".into(), message: "the disk is full".into(), hint: None })
    }

    async fn run(events: Vec<Progress>, wait: bool) -> Result<Rollout, ClientError> {
        let output = Output::new(std::io::sink(), std::io::sink(), OutputOptions::default());
        track(stream::iter(events.into_iter().map(Ok)), wait, &output).await
    }

    #[tokio::test]
    async fn rollout_confirmed_by_every_edge_succeeds() {
        let events = vec![
            Progress::Encoding { done: 1, total: 1 },
            Progress::Unknown,
            released(),
            Progress::Confirmed { edge: edge("a"), done: 1, total: 1, elapsed_ms: 4 },
            Progress::Finished { confirmed: vec![edge("a")], lagging: vec![], elapsed_ms: 4 },
        ];
        let rollout = run(events, true).await.unwrap();
        assert_eq!(rollout.confirmations.confirmed, [edge("a")]);
        assert_eq!(rollout.exit(), Exit::Success);
    }

    #[tokio::test]
    async fn rollout_without_wait_ends_at_the_release() {
        let rollout = run(vec![released()], false).await.unwrap();
        assert_eq!((rollout.exit(), rollout.interruption), (Exit::Success, None));
    }

    #[tokio::test]
    async fn failure_before_the_release_is_an_error_and_after_it_an_interruption() {
        assert!(matches!(run(vec![failed()], true).await, Err(ClientError::Refused { status: None, .. })));
        assert!(matches!(run(vec![], true).await, Err(ClientError::ConnectionLost { .. })));
        let lost =
            run(vec![released(), Progress::Confirmed { edge: edge("a"), done: 1, total: 2, elapsed_ms: 4 }], true)
                .await
                .unwrap();
        assert_eq!((lost.exit(), lost.confirmations.confirmed.len()), (Exit::Lagging, 1));
        let failed = run(vec![released(), failed()], true).await.unwrap();
        assert_eq!(failed.interruption.as_deref(), Some("the disk is full"));
    }

    #[tokio::test]
    async fn lagging_edge_sets_exit_code() {
        let lagging_edge = LaggingEdge { edge: edge("b"), reason: "slow".into(), away: false, last_seen: None };
        let finished = Progress::Finished { confirmed: vec![edge("a")], lagging: vec![lagging_edge], elapsed_ms: 4 };
        assert_eq!(run(vec![released(), finished], true).await.unwrap().exit(), Exit::Lagging);
    }

    #[test]
    fn conflict_names_the_current_release() {
        let release = |number, author: Option<&str>, channels: &[&str]| Release {
            number: ReleaseNumber(number),
            manifest: Digest::of(b"m"),
            files: 1,
            bytes: 1,
            created: Timestamp(0),
            provenance: Provenance { author: author.map(str::to_owned), ..Provenance::default() },
            channels: channels.iter().map(|channel| channel.parse().unwrap()).collect(),
            url: None,
        };
        let releases = [release(8, None, &["pr-1"]), release(7, Some("Ann"), &["live"])];
        assert_eq!(current_release(&releases, &ChannelName::live()).unwrap(), "live now points at v7 (Ann)");
        assert_eq!(current_release(&releases, &"pr-1".parse().unwrap()).unwrap(), "pr-1 now points at v8");
        assert_eq!(current_release(&releases, &"pr-2".parse().unwrap()), None);
    }
}
