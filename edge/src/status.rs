//! How far an edge has applied the feed: what its health page, its reports and its metrics say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use verge_daemon::feed::LastSeen;
use verge_protocol::feed::HEARTBEAT_SECONDS;
use verge_protocol::host::HostLabel;
use verge_protocol::report::{Lag, Preparation, PurgeLag, PurgeProof};
use verge_protocol::{Digest, EdgeName, History, Position, Seq};

use crate::metrics::CanaryCounters;
use crate::tls::TlsStatus;

/// How far an edge serves what the feed says.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AppliedState {
    /// Every row up to here is served, or named in `lagging`. `None` until the first snapshot is complete.
    pub position: Option<Position>,
    /// The digest of all writes up to there.
    pub history: Option<History>,
    /// Channels that do not serve their latest release yet, or serve it before it is on disk.
    pub lagging: Vec<Lag>,
    /// The first row in `lagging` of which the origin has what is missing.
    pub first_obtainable: Option<Seq>,
    /// Releases that channels are about to point at, one for each rollout in the feed.
    pub preparations: Vec<Preparation>,
    /// What readers get from channels of which a canary runs.
    pub canaries: Vec<MeasuredRelease>,
    /// Sites with a purge that is not done yet.
    pub purging: Vec<PurgeLag>,
    /// What the last purges have found, the latest last.
    pub purged: Vec<PurgeProof>,
    /// Number of channels in the feed.
    pub channels: usize,
    /// Number of channels that serve a release, the latest or not.
    pub served: usize,
    /// Whether it has known, at some time since the process started, all that the origin had, and had the manifests that it needs to serve
    /// it, or failed to get them.
    pub has_caught_up: bool,
    /// Number of rows that this version cannot read, other than channels, which lag instead.
    pub unknown: usize,
    /// Keys in force from an earlier history of the origin, which its present one neither has nor deletes.
    pub orphans: Vec<String>,
    /// Why the state is not saved, so that a restart would continue from an older one; `None` if it is.
    pub not_saving: Option<String>,
}

/// The release that a channel serves while a canary runs, and what readers get from it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeasuredRelease {
    /// The channel.
    pub label: HostLabel,
    /// The manifest of the release.
    pub manifest: Digest,
    pub(crate) counters: CanaryCounters,
}

impl AppliedState {
    /// Whether there is something to serve, or the feed is known to have no channel.
    pub fn can_serve(&self) -> bool {
        self.served > 0 || self.position.is_some() && self.channels == 0
    }

    /// Whether readers may be sent here, when no origin was seen for `silence`; `is_unreachable`: the last attempt to reach one failed.
    /// `has_certificates` is asked once the feed is known.
    pub(crate) fn availability(
        &self,
        silence: Duration,
        is_unreachable: bool,
        has_certificates: impl FnOnce() -> bool,
    ) -> Availability {
        let patience = if is_unreachable { RECONNECT_PATIENCE } else { CATCH_UP_PATIENCE };
        if !self.can_serve() {
            Availability::Empty
        } else if self.has_caught_up && has_certificates() || silence > patience {
            Availability::Available
        } else {
            Availability::CatchingUp
        }
    }

    /// While the state is not saved, nothing is prepared: a restart would lose it.
    pub(crate) fn retract_unsaved(&mut self) {
        let Some(reason) = &self.not_saving else { return };
        for preparation in &mut self.preparations {
            preparation.prepared = false;
            preparation.problem = Some(format!("the state is not being saved: {reason}"));
        }
    }

    /// The same without numbers that change with every blob that arrives.
    pub(crate) fn without_progress(&self) -> Self {
        let mut state = self.clone();
        state.lagging.iter_mut().for_each(|lag| lag.reason.clear());
        state.preparations.iter_mut().for_each(|preparation| preparation.done = 0);
        state
    }
}

/// How many blobs of live releases are not on disk. Clones share the number.
#[derive(Debug, Clone, Default)]
pub(crate) struct MissingBlobs(Arc<AtomicU64>);

impl MissingBlobs {
    pub(crate) fn set(&self, blobs: u64) {
        self.0.store(blobs, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How long origins may be silent. They send a heartbeat every five seconds, and restart within a few.
const ORIGIN_SILENCE: Duration = Duration::from_mins(1);
/// How long an edge that has just started waits for a silent origin before readers are sent to it all the same: longer than an origin that
/// has nothing to say is silent.
const CATCH_UP_PATIENCE: Duration = Duration::from_secs(HEARTBEAT_SECONDS + 2);
/// The same if no origin can be reached. One that restarts is back by then.
const RECONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// The inputs of health, reports and metrics.
#[derive(Clone)]
pub(crate) struct ServingStatus {
    pub(crate) edge: EdgeName,
    pub(crate) applied: watch::Receiver<AppliedState>,
    pub(crate) last_seen: LastSeen,
    /// Blobs of live releases that are not on disk.
    pub(crate) missing_blobs: MissingBlobs,
    pub(crate) tls: TlsStatus,
    /// Cancelled when draining begins.
    pub(crate) draining: CancellationToken,
}

/// Whether readers may be sent to an edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Availability {
    /// They may.
    Available,
    /// The process started a moment ago and does not know yet what other edges serve: their pages may name files of which it has not
    /// heard, and its certificates may have expired.
    CatchingUp,
    /// There is nothing to serve.
    Empty,
}

impl ServingStatus {
    /// Whether readers may be sent here.
    pub(crate) fn availability(&self) -> Availability {
        let (silence, is_unreachable) = (self.last_seen.silence(), self.last_seen.is_unreachable());
        self.applied.borrow().availability(silence, is_unreachable, || self.tls.has_caught_up())
    }

    /// Whether no origin was seen for so long that it is not just restarting.
    pub(crate) fn is_origin_silent(&self) -> bool {
        self.last_seen.silence() > ORIGIN_SILENCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test_support::serving_status;

    #[tokio::test(start_paused = true)]
    async fn edge_that_has_just_started_is_available_once_it_has_caught_up_or_no_origin_answers() {
        let applied = watch::Sender::new(AppliedState::default());
        let status = serving_status(&applied);
        assert_eq!(status.availability(), Availability::Empty);
        applied.send_modify(|applied| applied.served = 1);
        assert_eq!(status.availability(), Availability::CatchingUp);
        tokio::time::advance(CATCH_UP_PATIENCE).await;
        status.last_seen.record();
        assert_eq!(status.availability(), Availability::CatchingUp, "an origin answers");
        applied.send_modify(|applied| applied.has_caught_up = true);
        assert_eq!(status.availability(), Availability::Available);
        applied.send_modify(|applied| applied.has_caught_up = false);
        assert_eq!(status.availability(), Availability::CatchingUp);
        tokio::time::advance(Duration::from_secs(HEARTBEAT_SECONDS) + Duration::from_millis(500)).await;
        assert_eq!(status.availability(), Availability::CatchingUp, "a heartbeat that is a little late");
        status.last_seen.record_failure();
        tokio::time::advance(RECONNECT_PATIENCE + Duration::from_millis(1)).await;
        assert_eq!(status.availability(), Availability::Available, "no origin can be reached");
        status.last_seen.record();
        assert_eq!(status.availability(), Availability::CatchingUp);
        tokio::time::advance(CATCH_UP_PATIENCE + Duration::from_millis(1)).await;
        assert_eq!(status.availability(), Availability::Available, "the origin is silent");
    }

    #[test]
    fn edge_that_has_just_started_is_available_once_it_has_the_certificates_of_the_feed_or_no_origin_answers() {
        let applied = AppliedState { served: 1, has_caught_up: true, ..AppliedState::default() };
        let availability = |silence, has_certificates| applied.availability(silence, false, || has_certificates);
        assert_eq!(availability(Duration::ZERO, false), Availability::CatchingUp);
        assert_eq!(availability(Duration::ZERO, true), Availability::Available);
        assert_eq!(availability(CATCH_UP_PATIENCE + Duration::from_millis(1), false), Availability::Available);
    }
}
