//! A purge: paths of a site are not inherited any more, and every edge checks what it serves there.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::header::ETAG;
use serde::Serialize;
use verge_protocol::api::{LaggingEdge, PurgeProgress, PurgeRequest, Site};
use verge_protocol::nfc::nfc;
use verge_protocol::path::PathError;
use verge_protocol::purge::PurgeScope;
use verge_protocol::report::PurgeProof;
use verge_protocol::{Digest, EdgeName, Seq, SiteName};

use crate::client::{Client, ClientError, Events};
use crate::exit::Exit;
use crate::output::{Output, human};
use crate::rollout::ask_each;

/// What is purged.
pub struct Purge<'a> {
    /// The origin.
    pub client: &'a Client,
    /// The site.
    pub site: &'a SiteName,
    /// The paths, by whom and why.
    pub request: PurgeRequest,
}

/// A purge that was made, and the edges that have done it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Purged {
    /// The write that made it.
    pub seq: Seq,
    /// Edges that have done it.
    pub confirmed: Vec<PurgedEdge>,
    /// Edges that have not, or are not known to have, and why.
    pub lagging: Vec<LaggingEdge>,
    /// Milliseconds from the purge to the last confirmation.
    pub elapsed_ms: u64,
    /// What the edges themselves answer at the path, if the purge is of one path.
    pub checked: Vec<PathCheck>,
}

/// An edge that has done a purge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PurgedEdge {
    /// The edge.
    pub edge: EdgeName,
    /// Milliseconds from the purge to its report.
    pub elapsed_ms: u64,
    /// What it has found.
    pub proof: Option<PurgeProof>,
}

/// What an edge answered to a request for a path of the live channel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PathCheck {
    /// The edge.
    pub edge: EdgeName,
    /// The status; `None`: the edge could not be reached from here.
    pub status: Option<u16>,
    /// The digest of what it serves, by its `ETag`.
    pub digest: Option<Digest>,
}

/// Why a purge failed.
#[derive(Debug, thiserror::Error)]
pub enum PurgeError {
    /// A request failed. Nothing was purged, unless the connection was lost.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The connection was lost after the purge was made.
    #[error("the origin has done it, but the state of the edges is unknown")]
    Interrupted(#[source] ClientError),
}

impl Purge<'_> {
    /// Purges, and waits until every edge has done it or is given up.
    pub async fn run(&self, output: &Output) -> Result<Purged, PurgeError> {
        let events = self.client.purge(self.site, &self.request).await?;
        follow(events, output, &format!("purging {} of {}", self.request.scope, self.site)).await
    }

    /// Asks the edges that have done it, for at most `limit`, what they serve at the path. That none can be reached from here is no
    /// error.
    pub async fn ask_edges(&self, purged: &mut Purged, limit: Duration) {
        let PurgeScope::Path(path) = &self.request.scope else { return };
        let Ok(site) = self.client.get::<Site>(&format!("/v1/sites/{}", self.site)).await else { return };
        let Some(live) = site.channels.into_iter().find(|channel| channel.name.is_live()) else { return };
        let edges: Vec<EdgeName> = purged.confirmed.iter().map(|edge| edge.edge.clone()).collect();
        let answers = ask_each(self.client, &live.url, path.as_str(), &edges, limit).await;
        let check = |(edge, response): (EdgeName, Option<reqwest::Response>)| {
            let etag = response.as_ref().and_then(|response| response.headers().get(ETAG)?.to_str().ok());
            let digest = etag.and_then(|etag| etag.trim_matches('"').parse().ok());
            PathCheck { edge, status: response.map(|response| response.status().as_u16()), digest }
        };
        purged.checked = answers.into_iter().map(check).collect();
    }
}

/// Follows a purge, or an erasure, until every edge has done it or is given up. `doing` says what is done.
pub async fn follow(mut events: Events<PurgeProgress>, output: &Output, doing: &str) -> Result<Purged, PurgeError> {
    let mut made = None;
    let mut confirmed = Vec::new();
    while let Some(event) = events.next().await {
        let event = match (event, made) {
            (Ok(event), _) => event,
            (Err(error), None) => return Err(error.into()),
            (Err(error), Some(_)) => return Err(PurgeError::Interrupted(error)),
        };
        output.event(&event);
        match event {
            PurgeProgress::Purging { seq, edges, .. } => {
                made = Some(seq);
                let count = human::count(edges.len() as u64, "edge");
                output.info(format_args!("{doing} on {count}"));
            }
            PurgeProgress::Confirmed { edge, elapsed_ms, proof, .. } => {
                confirmed.push(PurgedEdge { edge, elapsed_ms, proof });
            }
            PurgeProgress::Finished { lagging, elapsed_ms, .. } => {
                let Some(seq) = made else { break };
                confirmed.sort_by(|one, other| one.edge.cmp(&other.edge));
                return Ok(Purged { seq, confirmed, lagging, elapsed_ms, checked: Vec::new() });
            }
            PurgeProgress::Failed(body) => return Err(ClientError::Refused { status: None, body }.into()),
            PurgeProgress::Unknown => {}
        }
    }
    let lost = ClientError::ConnectionLost { reason: "the response ended early".to_owned() };
    Err(if made.is_some() { PurgeError::Interrupted(lost) } else { lost.into() })
}

impl Purged {
    /// The exit code: an edge that is not away must have done it.
    pub fn exit(&self) -> Exit {
        let is_done_somewhere = self.lagging.is_empty() || !self.confirmed.is_empty();
        let is_done = is_done_somewhere && self.lagging.iter().all(|lagging| lagging.away);
        if is_done && self.serving_others().next().is_none() { Exit::Success } else { Exit::Lagging }
    }

    /// The number of edges that are waited for: all but those that are away.
    pub fn total(&self) -> usize {
        self.confirmed.len() + self.lagging.iter().filter(|lagging| !lagging.away).count()
    }

    /// Edges that answer with another file than they have reported.
    pub fn serving_others(&self) -> impl Iterator<Item = &PathCheck> {
        self.checked.iter().filter(|check| {
            let proof = self.confirmed.iter().find(|edge| edge.edge == check.edge).and_then(|edge| edge.proof.as_ref());
            let reported = proof.and_then(|proof| proof.serves.as_ref()?.digest);
            // Without a file at the path, what answers is another page of the site.
            reported.is_some() && check.digest.is_some() && check.digest != reported
        })
    }
}

/// The scope that a person means: a path as in a URL, a directory as `assets/*`, or everything as `*`. A path that ends in `/` means
/// the `index.html` there.
pub fn parse_scope(text: &str) -> Result<PurgeScope, String> {
    // As the push composed it: shells complete names as the file system has them.
    let text = &*nfc(text);
    let path = text.strip_prefix('/').unwrap_or(text);
    let path = if path.is_empty() || path.ends_with('/') { format!("{path}index.html") } else { path.to_owned() };
    path.parse().map_err(|error: PathError| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scope_is_a_path_a_directory_or_everything() {
        for (text, scope) in [
            ("about.html", "about.html"),
            ("/about.html", "about.html"),
            ("/", "index.html"),
            ("/docs/", "docs/index.html"),
            ("/assets/*", "assets/*"),
            ("*", "*"),
            ("/*", "*"),
            ("/cafe\u{301}.html", "caf\u{e9}.html"),
        ] {
            assert_eq!(parse_scope(text).unwrap().to_string(), scope, "{text}");
        }
        assert!(parse_scope("../x").is_err() && parse_scope("a//b").is_err());
    }
}
