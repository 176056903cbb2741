//! Follows a channel as it moves, until every edge serves what it should.

use futures_util::{Stream, StreamExt as _};
use serde::Serialize;
use verge_protocol::api::{LaggingEdge, Progress, Release};
use verge_protocol::{ChannelName, Digest, EdgeName, ReleaseNumber, Seq, SiteName};

use crate::client::{Client, ClientError};
use crate::exit::Exit;
use crate::output::{Output, Unit, human};

/// What a channel points at from now on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Released {
    /// The release.
    pub release: ReleaseNumber,
    /// Its manifest.
    pub manifest: Digest,
    /// The channel's new epoch.
    pub epoch: Seq,
    /// Where it is served.
    pub url: String,
    /// What the origin wants known.
    pub notices: Vec<String>,
}

/// Which edges serve it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Edges {
    /// Those that do.
    pub confirmed: Vec<EdgeName>,
    /// Those that do not, and why.
    pub lagging: Vec<LaggingEdge>,
}

/// How it went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// What was released.
    pub released: Released,
    /// Where it is served; those known so far when nobody waited to the end.
    pub edges: Edges,
    /// Why it is not known how far the edges are.
    pub doubt: Option<String>,
}

impl Followed {
    /// What the shell sees.
    pub fn exit(&self) -> Exit {
        if self.doubt.is_none() && self.edges.lagging.is_empty() { Exit::Success } else { Exit::Lagging }
    }

    /// Warns of every edge that is not known to serve it.
    pub fn warn(&self, output: &Output) {
        let release = self.released.release;
        for laggard in &self.edges.lagging {
            output.warn(format_args!(
                "{} does not serve {release} yet: {}",
                laggard.edge,
                human::line(&laggard.reason, 200)
            ));
        }
        if let Some(doubt) = &self.doubt {
            output.warn(format_args!(
                "{release} is released, but how far the edges are is not known: {}",
                human::line(doubt, 200)
            ));
        }
        if self.exit() == Exit::Lagging {
            output.say("`verge status` tells when they have caught up");
        }
    }
}

/// Why a channel did not move, as far as is known.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Somebody else moved it first.
    #[error("another push won: {0}")]
    Conflict(String),
    /// The origin was asked, and its own word on how it ended did not arrive.
    #[error("it is not known whether {channel} has moved")]
    Unsure {
        /// The channel.
        channel: ChannelName,
        /// What came instead.
        source: ClientError,
    },
    /// It did not.
    #[error(transparent)]
    Client(ClientError),
}

impl FollowError {
    /// Makes of a client's error what it means for the channel; asks the origin who won a conflict.
    pub async fn of(error: ClientError, client: &Client, site: &SiteName, channel: &ChannelName) -> Self {
        match error {
            // Whoever speaks for the origin, or in its stream without making sense, does not know what it did.
            ClientError::Cut { .. }
            | ClientError::Stalled { .. }
            | ClientError::Gateway { .. }
            | ClientError::Foreign { .. } => Self::Unsure { channel: channel.clone(), source: error },
            ClientError::Refused { body, .. } if body.code == "conflict" => {
                let releases = client.get::<Vec<Release>>(&format!("/v1/sites/{site}/releases")).await;
                let winner = releases.ok().and_then(|releases| winner(&releases, channel));
                Self::Conflict(winner.unwrap_or(body.message))
            }
            error => Self::Client(error),
        }
    }
}

fn winner(releases: &[Release], channel: &ChannelName) -> Option<String> {
    let release = releases.iter().find(|release| release.channels.contains(channel))?;
    let told = [&release.provenance.author, &release.provenance.message];
    let told: Vec<String> = told.into_iter().flatten().map(|text| human::line(text, 60)).collect();
    let told = if told.is_empty() { String::new() } else { format!(" ({})", told.join(": ")) };
    Some(format!("{channel} is {} now{told}", release.number))
}

/// Follows `events` to the end, or, unless told to `wait`, until the channel has moved.
pub async fn follow(
    mut events: impl Stream<Item = Result<Progress, ClientError>> + Unpin,
    wait: bool,
    output: &Output,
) -> Result<Followed, ClientError> {
    let released = until_released(&mut events, output).await?;
    let mut followed = Followed { released, edges: Edges::default(), doubt: None };
    if wait {
        match until_confirmed(&mut events, &mut followed.edges, output).await {
            Ok(()) => {}
            Err(ClientError::Refused { body, .. }) => followed.doubt = Some(body.message),
            Err(error) => followed.doubt = Some(error.to_string()),
        }
    }
    Ok(followed)
}

type Event = Option<Result<Progress, ClientError>>;

fn known(event: Event) -> Result<Progress, ClientError> {
    match event {
        Some(Ok(Progress::Failed(body))) => Err(ClientError::Refused { status: None, body }),
        Some(event) => event,
        None => Err(ClientError::Cut { reason: "its answer ended early".to_owned() }),
    }
}

async fn until_released(
    events: &mut (impl Stream<Item = Result<Progress, ClientError>> + Unpin),
    output: &Output,
) -> Result<Released, ClientError> {
    // Where nothing is to be encoded, there is no such step.
    let mut step = None;
    let mut encoded = 0;
    loop {
        match known(events.next().await)? {
            Progress::Encoding { done, total } => {
                encoded = done;
                let step = step.get_or_insert_with(|| output.step("encoding", Unit::Files, total));
                step.set_total(total);
                step.set_done(done);
            }
            Progress::Released { release, manifest, epoch, url, warnings: notices } => {
                if let Some(step) = step {
                    step.finish(format_args!("encoded {}", human::count(encoded, "file")));
                }
                return Ok(Released { release, manifest, epoch, url, notices });
            }
            _ => {}
        }
    }
}

async fn until_confirmed(
    events: &mut (impl Stream<Item = Result<Progress, ClientError>> + Unpin),
    edges: &mut Edges,
    output: &Output,
) -> Result<(), ClientError> {
    let step = output.step("going live", Unit::Edges, 0);
    loop {
        match known(events.next().await)? {
            Progress::Confirmed { edge, done, total } => {
                edges.confirmed.push(edge);
                step.set_total(total);
                step.set_done(done);
                step.note(edges.confirmed.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
            }
            Progress::Finished { confirmed, lagging } => {
                *edges = Edges { confirmed, lagging };
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
    use crate::output::Manner;

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

    async fn followed(events: Vec<Progress>, wait: bool) -> Result<Followed, ClientError> {
        let output = Output::new(std::io::sink(), std::io::sink(), Manner::default());
        follow(stream::iter(events.into_iter().map(Ok)), wait, &output).await
    }

    #[tokio::test]
    async fn it_ends_well_when_every_edge_confirmed() {
        let events = vec![
            Progress::Encoding { done: 1, total: 1 },
            Progress::Unknown,
            released(),
            Progress::Confirmed { edge: edge("a"), done: 1, total: 1 },
            Progress::Finished { confirmed: vec![edge("a")], lagging: vec![] },
        ];
        let followed = followed(events, true).await.unwrap();
        assert_eq!(followed.edges.confirmed, [edge("a")]);
        assert_eq!(followed.exit(), Exit::Success);
    }

    #[tokio::test]
    async fn nobody_who_does_not_wait_is_kept() {
        let followed = followed(vec![released()], false).await.unwrap();
        assert_eq!((followed.exit(), followed.doubt), (Exit::Success, None));
    }

    #[tokio::test]
    async fn what_goes_wrong_before_the_release_is_an_error_and_after_it_a_doubt() {
        assert!(matches!(followed(vec![failed()], true).await, Err(ClientError::Refused { status: None, .. })));
        assert!(matches!(followed(vec![], true).await, Err(ClientError::Cut { .. })));
        let cut =
            followed(vec![released(), Progress::Confirmed { edge: edge("a"), done: 1, total: 2 }], true).await.unwrap();
        assert_eq!((cut.exit(), cut.edges.confirmed.len()), (Exit::Lagging, 1));
        let failed = followed(vec![released(), failed()], true).await.unwrap();
        assert_eq!(failed.doubt.as_deref(), Some("the disk is full"));
    }

    #[tokio::test]
    async fn a_laggard_is_told() {
        let laggard = LaggingEdge { edge: edge("b"), reason: "slow".into() };
        let finished = Progress::Finished { confirmed: vec![edge("a")], lagging: vec![laggard] };
        assert_eq!(followed(vec![released(), finished], true).await.unwrap().exit(), Exit::Lagging);
    }

    #[test]
    fn the_winner_is_named() {
        let release = |number, author: Option<&str>, channels: &[&str]| Release {
            number: ReleaseNumber(number),
            manifest: Digest::of(b"m"),
            files: 1,
            bytes: 1,
            created: Timestamp(0),
            provenance: Provenance { author: author.map(str::to_owned), ..Provenance::default() },
            channels: channels.iter().map(|channel| channel.parse().unwrap()).collect(),
        };
        let releases = [release(8, None, &["pr-1"]), release(7, Some("Ann"), &["live"])];
        assert_eq!(winner(&releases, &ChannelName::live()).unwrap(), "live is v7 now (Ann)");
        assert_eq!(winner(&releases, &"pr-1".parse().unwrap()).unwrap(), "pr-1 is v8 now");
        assert_eq!(winner(&releases, &"pr-2".parse().unwrap()), None);
    }
}
