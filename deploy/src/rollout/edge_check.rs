//! Asks the edges themselves, over HTTP, which release they serve.
//!
//! A reported URL may lead elsewhere from here: to a network that this machine is not in, or, if it is a private address, to another
//! machine. So only an answer that names the edge counts. Nothing but the head of a response is read.

use std::time::Duration;

use futures_util::StreamExt as _;
use reqwest::{Response, Url};
use serde::Serialize;
use tokio::time::{Instant, timeout_at};
use verge_protocol::api::{Edge, Progress};
use verge_protocol::{ChannelName, EdgeName, ReleaseNumber, SiteName};

use crate::client::{Client, EdgeClient};

/// How many edges are asked at once.
const AT_ONCE: usize = 64;

/// What an edge answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct EdgeCheck {
    /// The edge.
    pub edge: EdgeName,
    /// Whether the edge could be reached from here.
    pub reached: bool,
    /// The status of its answer.
    pub status: Option<u16>,
    /// The release that it answered with; `None`: it was not reached, or answered without a release.
    pub release: Option<ReleaseNumber>,
}

/// Asks those of `edges` that have reported a URL for the page `/` of the channel that is served at `url`. Ends after `limit`; edges
/// that were not asked by then are left out. If the list of edges cannot be read, none is asked.
pub(super) async fn ask_edges(client: &Client, url: &str, edges: &[EdgeName], limit: Duration) -> Vec<EdgeCheck> {
    let answers = ask_each(client, url, "", edges, limit).await;
    answers.into_iter().map(|(edge, response)| check(edge, response.as_ref())).collect()
}

/// Asks those of `edges` that have reported a URL for a file of the channel that is served at `url`. The answers are those of these very
/// edges, by name; `None`: there was none. Ends after `limit`, as [`ask_edges`] does.
pub(crate) async fn ask_each(
    client: &Client,
    url: &str,
    path: &str,
    edges: &[EdgeName],
    limit: Duration,
) -> Vec<(EdgeName, Option<Response>)> {
    let deadline = Instant::now() + limit;
    let Ok(site) = url.parse::<Url>() else { return Vec::new() };
    let Ok(Ok(known)) = timeout_at(deadline, client.get::<Vec<Edge>>("/v1/edges")).await else { return Vec::new() };
    let asked = known.into_iter().filter(|edge| edges.contains(&edge.name));
    let asked = asked.filter_map(|Edge { name, url, .. }| Some((name, url?.parse().ok()?)));
    let http = EdgeClient::default();
    let checks = futures_util::stream::iter(asked).map(async |(edge, url)| {
        // Also an edge that is asked late gets a little time.
        if Instant::now() >= deadline {
            return None;
        }
        let response = timeout_at(deadline, http.head(url, &site, path)).await.ok().flatten();
        let response = response.filter(|response| header(response, "verge-edge") == Some(edge.as_str()));
        Some((edge, response))
    });
    let mut answers: Vec<_> = checks.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect::<Vec<_>>().await;
    answers.sort_by(|(one, _), (other, _)| one.cmp(other));
    answers
}

fn check(edge: EdgeName, response: Option<&Response>) -> EdgeCheck {
    let release = response.and_then(|response| header(response, "verge-release")?.parse().ok());
    let status = response.map(|response| response.status().as_u16());
    EdgeCheck { edge, reached: response.is_some(), status, release }
}

fn header<'a>(response: &'a Response, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

/// The release that a channel is being moved to, or else points at; `None` if the origin does not tell within `limit`.
pub(super) async fn latest_release(
    client: &Client,
    site: &SiteName,
    channel: &ChannelName,
    limit: Duration,
) -> Option<ReleaseNumber> {
    let latest = async {
        let mut events = client.rollout(site, channel).await.ok()?;
        loop {
            match events.next().await?.ok()? {
                Progress::Preparing { release, .. } | Progress::Released { release, .. } => return Some(release),
                _ => {}
            }
        }
    };
    tokio::time::timeout(limit, latest).await.ok().flatten()
}
