//! The state of the fake origin.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};

use axum::body::Body;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use verge_protocol::api::{
    BuildDiff, ChannelHead, Edge, EraseRequest, ErasurePlan, ErrorBody, LaggingEdge, Limits, LogEntry, Progress,
    Provenance, PurgeProgress, PurgeRequest,
};
use verge_protocol::canary::CanaryPlan;
use verge_protocol::{Build, ChannelName, Digest, IdempotencyKey, ReleaseNumber, Seq, SiteName};

/// The state, shared with the handlers.
pub(crate) type Shared = Arc<Mutex<Memory>>;

/// An error response.
pub(crate) fn refuse(status: StatusCode, code: &str, message: &str) -> Response {
    let body = ErrorBody { code: code.to_owned(), message: message.to_owned(), hint: None };
    (status, axum::Json(body)).into_response()
}

/// A response whose body fails, which closes the connection.
pub(crate) fn abort() -> Response {
    let failing = futures_util::stream::once(async { Err::<&[u8], _>(std::io::Error::other("aborted")) });
    Response::new(Body::from_stream(failing))
}

/// The state.
#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) sites: BTreeMap<SiteName, Site>,
    /// Builds by id, which is derived from their bytes.
    pub(crate) builds: BTreeMap<String, Build>,
    /// Method and path of every request.
    pub(crate) requests: Vec<String>,
    /// Every blob that arrived complete, in order, with duplicates.
    pub(crate) received: Vec<Digest>,
    /// `expires_seconds` of every release, in order.
    pub(crate) expires_seconds: Vec<Option<u64>>,
    /// `canary` of every release, in order.
    pub(crate) canaries: Vec<Option<CanaryPlan>>,
    pub(crate) faults: Faults,
    pub(crate) epoch: u64,
    /// What each idempotency key has led to, and the keys of all requests that move a channel, in order.
    pub(crate) outcomes: BTreeMap<IdempotencyKey, (ReleaseNumber, Seq)>,
    pub(crate) keys: Vec<Option<IdempotencyKey>>,
    /// Events of every push and move before the channel moves.
    pub(crate) preparation: Vec<Progress>,
    /// Milliseconds until the last edge has confirmed.
    pub(crate) elapsed_ms: u64,
    /// The purges that were requested, and the events that answer each.
    pub(crate) purges: Vec<PurgeRequest>,
    pub(crate) purge_events: Vec<PurgeProgress>,
    /// The answer to `POST …/erasures/plan`, and the erasures that were requested.
    pub(crate) erasure_plan: Option<ErasurePlan>,
    pub(crate) erasures: Vec<EraseRequest>,
    /// The answer to `GET …/log`.
    pub(crate) log: Vec<LogEntry>,
    /// The answer to `GET /v1/edges`.
    pub(crate) edges: Vec<Edge>,
}

/// How the fake origin misbehaves.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent faults")]
pub(crate) struct Faults {
    /// Refuses every request with 403.
    pub(crate) forbidden: bool,
    /// Answers this many requests with 503, from the next upload on.
    pub(crate) unavailable: u32,
    /// Answers this many requests that move a channel with a gateway's 502, without executing them.
    pub(crate) unavailable_moves: u32,
    /// Aborts every second upload after this many blobs.
    pub(crate) cut_after: Option<usize>,
    pub(crate) uploads: usize,
    /// Closes every connection after one response, so that each request has its own connection.
    pub(crate) closes: bool,
    /// Accepts packs without storing them.
    pub(crate) forgetful: bool,
    /// Loses every blob just before the next release.
    pub(crate) loses_blobs: bool,
    /// Lets another push come first, just before the next release.
    pub(crate) overtaken: bool,
    /// Lets a push of the same files from the same place, but without rules, come first, just before the next release.
    pub(crate) overtaken_without_rules: bool,
    /// Tells, when it is asked for the rollout of a channel, that another push has moved it to this release.
    pub(crate) replaced_by: Option<ReleaseNumber>,
    /// Answers this many requests for a site with a gateway's 502.
    pub(crate) unavailable_sites: u32,
    /// Where the event streams of the next pushes and moves end.
    pub(crate) ends_early: VecDeque<Early>,
    /// Abandons the next rollout: the channel does not move.
    pub(crate) abandons: bool,
    /// Is of an older version: ignores idempotency keys, makes releases of unchanged builds, and cannot tell about a rollout.
    pub(crate) is_old: bool,
    pub(crate) lagging: Vec<LaggingEdge>,
    pub(crate) limits: Option<Limits>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Early {
    /// With the response of a gateway instead of a stream.
    AtTheGateway,
    BeforeReleased,
    /// With a line that is not an event, instead of the release.
    Garbled,
    AfterReleased,
    /// With an error that contains control characters.
    FailedAfterReleased,
}

#[derive(Default)]
pub(crate) struct Site {
    pub(crate) blobs: BTreeSet<Digest>,
    pub(crate) releases: Vec<(Build, Provenance)>,
    pub(crate) channels: BTreeMap<ChannelName, (ReleaseNumber, Seq)>,
    /// How many seconds after its last move each channel expires that does.
    pub(crate) lifetimes: BTreeMap<ChannelName, u64>,
}

impl Site {
    pub(crate) fn release(&self, number: ReleaseNumber) -> Option<&Build> {
        let index = usize::try_from(number.0).ok()?.checked_sub(1)?;
        self.releases.get(index).map(|(build, _)| build)
    }

    pub(crate) fn current(&self, channel: &ChannelName) -> Option<ChannelHead> {
        let (release, epoch) = *self.channels.get(channel)?;
        Some(ChannelHead { release, epoch, files: self.release(release)?.files.len() as u64 })
    }

    pub(crate) fn missing(&self, build: &Build) -> Vec<Digest> {
        let named: BTreeSet<Digest> =
            build.files.values().flat_map(|content| content.slices().map(|piece| piece.digest)).collect();
        named.difference(&self.blobs).copied().collect()
    }

    /// Whether `channel` serves exactly `build`.
    pub(crate) fn serves(&self, build: &Build, channel: &ChannelName) -> bool {
        self.channels.get(channel).and_then(|(release, _)| self.release(*release)) == Some(build)
    }

    pub(crate) fn changes(&self, build: &Build, channel: &ChannelName) -> BuildDiff {
        let none = BTreeMap::new();
        let old = self.channels.get(channel).and_then(|(release, _)| self.release(*release));
        let old = old.map_or(&none, |build| &build.files);
        let mut changes = BuildDiff::default();
        for (path, content) in &build.files {
            match old.get(path) {
                None => changes.added += 1,
                Some(known) if known == content => changes.unchanged += 1,
                Some(_) => changes.changed += 1,
            }
        }
        changes.removed = old.keys().filter(|path| !build.files.contains_key(*path)).count() as u64;
        changes
    }
}

impl Memory {
    /// Makes a release and points `channel` at it.
    pub(crate) fn release(
        &mut self,
        site: &SiteName,
        channel: &ChannelName,
        build: Build,
        provenance: Provenance,
    ) -> (ReleaseNumber, Seq) {
        self.epoch += 1;
        let epoch = Seq(self.epoch);
        let site = self.sites.get_mut(site).unwrap();
        site.releases.push((build, provenance));
        let release = ReleaseNumber(site.releases.len() as u64);
        site.channels.insert(channel.clone(), (release, epoch));
        (release, epoch)
    }
}
