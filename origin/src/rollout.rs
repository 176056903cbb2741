//! Rollouts: how a release gets from the origin to every edge.
//!
//! ```text
//! release ─► row `rollout/…` ─► edges prepare ─► row `channel/…` moves ─► edges confirm
//!            (begin)            (reports)        (switch)                 (reports)
//! ```
//!
//! [`machine`] decides, without I/O. [`Rollouts`] carries out what it decides, in one task per rollout that continues when
//! clients disconnect. Both rows are durable: an origin that was killed in between resumes from the row, see [`Rollouts::resume`].

mod canary;
mod edge;
mod machine;
mod progress_log;
mod target;
#[cfg(test)]
mod test_support;
mod timing;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use verge_daemon::{Clock, Tasks, error_chain};
use verge_protocol::api::Progress;
use verge_protocol::host::HostLabel;
use verge_protocol::state::{ChannelState, RolloutState};
use verge_protocol::{Digest, EdgeName, Position, ReleaseNumber, Seq, Timestamp};

pub use self::machine::{Action, Rollout};
pub(crate) use self::progress_log::{ProgressLog, ProgressStream};
pub use self::target::Target;
pub use self::timing::Timing;
use crate::channel_locks::{ChannelGuard, ChannelLocks};
use crate::edge_reports::EdgeReports;
use crate::feed::Feed;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::publish::{self, PublishError};
use crate::sites_url::SitesUrl;
use crate::store::{Database, NewMove, NewRollout, StoreError};

/// How old a rollout may be that is resumed at a start. After a longer time its publisher has learned that it failed, or has pushed
/// elsewhere.
const RESUMED_WITHIN: Duration = Duration::from_mins(10);
/// How far in the future a rollout may have begun, by a clock that is corrected a little all the time.
const CLOCK_TOLERANCE: Duration = Duration::from_mins(1);
/// How long to wait before a write is tried again that failed.
const RETRY_INTERVAL: Duration = Duration::from_secs(2);

/// Whether a rollout that the last process left is carried on, of a channel that is at `epoch`. An error tells why it is abandoned.
pub(crate) fn check_resumable(state: &RolloutState, epoch: Option<Seq>, now: Timestamp) -> Result<(), String> {
    let canary = Duration::from_secs(state.canary.as_ref().map_or(0, |canary| canary.plan.seconds));
    let (age, ahead) = (state.started.age(now), now.age(state.started));
    if epoch != state.expected {
        return Err("the channel was moved before the origin was restarted".to_owned());
    }
    // A clock that was set back since tells nothing of the time that has passed.
    if ahead > CLOCK_TOLERANCE {
        return Err(format!(
            "the origin was restarted, and its clock was set back by {} s or more since the rollout began",
            ahead.as_secs()
        ));
    }
    if age > RESUMED_WITHIN + canary {
        return Err(format!("the origin was restarted {} s after the rollout began", age.as_secs()));
    }
    Ok(())
}

/// Whether a channel that is in the state `current` was moved by this rollout. It must have been locked since the rollout began.
pub(crate) fn has_moved(current: &ChannelState, state: &RolloutState) -> bool {
    Some(current.epoch) > state.expected && current.release == state.release
}

/// Begins rollouts and carries them out. Clones share them.
#[derive(Clone)]
pub(crate) struct Rollouts {
    pub(crate) database: Database,
    pub(crate) feed: Feed,
    pub(crate) fleet: Fleet,
    pub(crate) edge_reports: EdgeReports,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sites_url: SitesUrl,
    pub(crate) timing: Timing,
}

/// A move that was committed.
pub(crate) struct CommittedMove {
    pub(crate) label: HostLabel,
    pub(crate) epoch: Seq,
    pub(crate) release: ReleaseNumber,
    pub(crate) manifest: Digest,
    /// The warnings of the release.
    pub(crate) warnings: Vec<String>,
}

/// A move that a rollout is to make.
struct Pending {
    guard: ChannelGuard,
    state: RolloutState,
    /// The warnings of the release.
    warnings: Vec<String>,
}

impl Rollouts {
    /// Begins a rollout, durably: from here on an origin that is killed resumes it.
    pub(crate) async fn begin(&self, new: NewRollout) -> Result<(Position, RolloutState), PublishError> {
        let (database, now, new) = (self.database.clone(), self.clock.now(), Arc::new(new));
        let label = new.label.clone();
        let written = Arc::clone(&new);
        let outcome = match self.feed.write(async move { database.begin_rollout(&written, now).await }).await {
            Ok(outcome) => outcome,
            // The commit failed, and may have survived all the same.
            Err(error) => Ok(self.database.begun_rollout(&new, now).await.ok().flatten().ok_or(error)?),
        };
        match outcome {
            Ok((begun, rollout)) => {
                tracing::info!(channel = %label, release = %rollout.release, "rollout begun");
                Ok((begun, rollout))
            }
            Err(current) => {
                self.metrics.channel_conflicts.inc();
                Err(PublishError::Conflict { label, current })
            }
        }
    }

    /// Carries out a rollout that was begun by the write at `begun`, and tells the log of `guard`. The channel is unlocked once it has
    /// moved.
    pub(crate) async fn run(
        &self,
        guard: ChannelGuard,
        (begun, state): (Position, RolloutState),
        warnings: Vec<String>,
    ) {
        let target = Target {
            label: guard.label().clone(),
            release: state.release,
            manifest: state.manifest,
            // There is nothing to compare a first release with, and no channel that edges could serve it on.
            canary: state.canary.as_ref().filter(|_| state.expected.is_some()).map(|canary| canary.plan),
            has_canary_edges: state.canary.as_ref().is_some_and(|canary| !canary.edges.is_empty()),
        };
        let rollout = Rollout::new(target, begun, self.timing, self.edge_reports.uptime());
        let log = guard.log().clone();
        self.carry_out(rollout, log, Some(Pending { guard, state, warnings })).await;
    }

    /// The progress of a move that was committed earlier: which edges serve it.
    pub(crate) fn confirm(&self, committed: CommittedMove) -> ProgressStream {
        let CommittedMove { label, epoch, release, manifest, warnings } = committed;
        let log = ProgressLog::default();
        let stream = log.follow();
        let channel = ChannelState { epoch, release, manifest, inherits: Vec::new() };
        log.push(Ok(self.released(&label, &channel, warnings)));
        let position = Position { seq: epoch, ..self.feed.position() };
        let target = Target { label, release, manifest, canary: None, has_canary_edges: false };
        let rollout = Rollout::of_move(target, position, self.timing, self.edge_reports.uptime());
        let rollouts = self.clone();
        drop(self.tasks.spawn("confirm", async move { rollouts.carry_out(rollout, log, None).await }));
        stream
    }

    /// Does what `rollout` decides, and tells `log`, until nothing more is to come. `pending` is the move that it is to make, if it is
    /// not made yet; after the move it continues for as long as a client follows.
    async fn carry_out(&self, mut rollout: Rollout, log: ProgressLog, mut pending: Option<Pending>) {
        let mut facts = Facts::new(self);
        while pending.is_some() || log.is_followed() {
            facts.tell(&mut rollout);
            for action in rollout.poll(self.edge_reports.uptime()) {
                if let Action::Tell(progress) = action {
                    log.push(Ok(progress));
                    continue;
                }
                // Only a move that is to be made has other actions than to end.
                let Some(mut unmoved) = pending.take() else { return };
                match self.advance(rollout.target(), &mut unmoved.state, action).await {
                    Ok(None) => pending = Some(unmoved),
                    Ok(Some((position, channel))) => {
                        log.push(Ok(self.released(&rollout.target().label, &channel, unmoved.warnings)));
                        // The next move of the channel need not wait for slow edges.
                        drop(unmoved.guard);
                        rollout.switched(position, self.edge_reports.uptime());
                        facts.notice();
                    }
                    Err(error) => return self.abandon(unmoved.guard, &unmoved.state, error).await,
                }
            }
            tokio::select! {
                () = facts.changed() => {}
                () = self.sleep_until(rollout.deadline()) => {}
                // Its row is left: the next process resumes it.
                () = self.tasks.draining().cancelled() => return,
            }
        }
    }

    /// Goes on with the rollouts that the last process left, or abandons those whose time is over.
    pub(crate) async fn resume(&self) -> Result<(), StoreError> {
        for (label, seq, state) in self.database.rollouts().await? {
            let begun = Position { seq, ..self.feed.position() };
            let Ok(guard) = self.channel_locks.try_lock(&label, state.idempotency_key.as_ref()) else { continue };
            let current = self.database.channel(&label.site, &label.channel).await?;
            let now = self.clock.now();
            let check = check_resumable(&state, current.map(|current| current.epoch), now);
            let rollouts = self.clone();
            drop(self.tasks.spawn("resume a rollout", async move {
                if let Err(reason) = check {
                    let error = PublishError::Abandoned { label, release: state.release, reason };
                    return rollouts.abandon(guard, &state, error).await;
                }
                tracing::info!(channel = %label, release = %state.release, "rollout resumed");
                let warnings = rollouts.database.release_warnings(&label.site, state.release).await;
                rollouts.run(guard, (begun, state), warnings.unwrap_or_default()).await;
            }));
        }
        Ok(())
    }

    /// Does what was decided of a move that is to be made. Returns the move if it is made; an error is why it is not to be made.
    async fn advance(
        &self,
        target: &Target,
        state: &mut RolloutState,
        action: Action,
    ) -> Result<Option<(Position, ChannelState)>, PublishError> {
        let Target { label, release, .. } = target;
        match action {
            Action::Tell(_) | Action::End => Ok(None),
            Action::StartCanary(edges) => self.start_canary(label, state, edges).await.map(|()| None),
            Action::Switch => self.switch(target, state).await.map(Some),
            Action::Abandon { reason } => {
                Err(PublishError::Abandoned { label: label.clone(), release: *release, reason })
            }
        }
    }

    /// Lets a few edges serve the release.
    async fn start_canary(
        &self,
        label: &HostLabel,
        state: &mut RolloutState,
        edges: BTreeSet<EdgeName>,
    ) -> Result<(), PublishError> {
        tracing::info!(channel = %label, release = %state.release, ?edges, "canary started");
        if let Some(canary) = &mut state.canary {
            canary.edges = edges;
        }
        let (database, label, state) = (self.database.clone(), label.clone(), state.clone());
        Ok(self.feed.write(async move { database.set_rollout(&label, &state).await }).await?)
    }

    async fn switch(&self, target: &Target, state: &RolloutState) -> Result<(Position, ChannelState), PublishError> {
        let label = target.label.clone();
        let now = self.clock.now();
        let manifest = state.manifest;
        let inherits = move |moves: &[_], purges: &[_]| publish::inherited(manifest, moves, purges, now);
        let (database, new) = (self.database.clone(), NewMove { label: label.clone(), rollout: state.clone() });
        let outcome = match self.feed.write(async move { database.move_channel(&new, now, inherits).await }).await {
            Ok(outcome) => outcome,
            Err(error) => Ok(self.moved_in_spite_of(&label, state).await.ok_or(error)?),
        };
        match outcome {
            Ok((position, channel)) => {
                self.metrics.channel_moves.inc();
                tracing::info!(channel = %label, release = %channel.release, epoch = %channel.epoch, "channel moved");
                Ok((position, channel))
            }
            Err(current) => {
                self.metrics.channel_conflicts.inc();
                Err(PublishError::Conflict { label, current })
            }
        }
    }

    /// The move of a rollout whose commit failed, if it survived all the same.
    async fn moved_in_spite_of(&self, label: &HostLabel, state: &RolloutState) -> Option<(Position, ChannelState)> {
        let current = self.database.channel(&label.site, &label.channel).await.ok()??;
        has_moved(&current, state).then(|| (Position { seq: current.epoch, ..self.feed.position() }, current))
    }

    /// Deletes the rollout of the locked channel, and sends the reason to clients. If that cannot be written, it is tried again after the
    /// channel is unlocked, and clients receive nothing: if the origin is killed before it succeeds, the next process resumes the rollout.
    async fn abandon(&self, guard: ChannelGuard, state: &RolloutState, error: PublishError) {
        let (label, release) = (guard.label().clone(), state.release);
        tracing::warn!(channel = %label, %release, reason = %error_chain(&error), "rollout abandoned");
        self.metrics.rollouts_abandoned.inc();
        let delete = async || {
            let (database, label, state, now) = (self.database.clone(), label.clone(), state.clone(), self.clock.now());
            self.feed.write(async move { database.abandon_rollout(&label, &state, now).await }).await
        };
        let mut outcome = delete().await;
        if outcome.is_ok() {
            guard.log().push(Err(error));
        } else {
            // Clients repeat their request.
            guard.log().cut();
        }
        drop(guard);
        while let Err(failure) = outcome {
            tracing::error!(channel = %label, %release, error = error_chain(&failure), "failed to abandon a rollout: retrying");
            tokio::select! {
                () = tokio::time::sleep(RETRY_INTERVAL) => {}
                () = self.tasks.draining().cancelled() => return,
            }
            outcome = delete().await;
        }
    }

    fn released(&self, label: &HostLabel, channel: &ChannelState, warnings: Vec<String>) -> Progress {
        let ChannelState { epoch, release, manifest, .. } = *channel;
        Progress::Released { release, manifest, epoch, url: self.sites_url.of(label), warnings }
    }

    async fn sleep_until(&self, uptime: Option<Duration>) {
        match uptime {
            Some(uptime) => tokio::time::sleep_until(self.edge_reports.at(uptime)).await,
            None => std::future::pending().await,
        }
    }
}

/// What happens in the fleet, as a rollout takes it.
struct Facts {
    edge_reports: EdgeReports,
    feed: Feed,
    members: watch::Receiver<Arc<BTreeSet<EdgeName>>>,
    reports: watch::Receiver<u64>,
    /// How many changes of reports the rollout has taken.
    taken: u64,
}

impl Facts {
    fn new(rollouts: &Rollouts) -> Self {
        let Rollouts { edge_reports, feed, fleet, .. } = rollouts;
        let (mut members, reports) = (fleet.members(), edge_reports.subscribe());
        members.mark_changed();
        Self { edge_reports: edge_reports.clone(), feed: feed.clone(), members, reports, taken: 0 }
    }

    /// Tells the rollout what has changed since the last call.
    fn tell(&mut self, rollout: &mut Rollout) {
        self.reports.mark_unchanged();
        let now = self.edge_reports.uptime();
        rollout.set_generation(self.feed.position().generation);
        if self.members.has_changed().unwrap_or(false) {
            rollout.set_members(&self.members.borrow_and_update(), now);
            self.taken = 0;
        }
        let (reports, changes) = self.edge_reports.since(self.taken);
        for (edge, last) in reports {
            rollout.report(&edge, &last.claims, last.received, last.time);
        }
        self.taken = changes;
    }

    /// Makes the next [`Facts::changed`] return at once.
    fn notice(&mut self) {
        self.reports.mark_changed();
    }

    /// Waits until something has changed.
    async fn changed(&mut self) {
        tokio::select! {
            _ = self.members.changed() => {
                self.members.mark_changed();
            }
            _ = self.reports.changed() => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rollout_of_an_earlier_process_is_resumed_within_its_time_or_abandoned_with_the_reason() {
        let at = |seconds: u64| Timestamp(seconds * 1000);
        let state = RolloutState {
            release: ReleaseNumber(2),
            manifest: Digest::of(b"manifest"),
            expected: Some(Seq(7)),
            idempotency_key: None,
            started: at(10_000),
            canary: None,
            author: None,
        };
        let check = |epoch, now| check_resumable(&state, Some(Seq(epoch)), at(now)).err();
        assert_eq!([check(7, 9_940), check(7, 10_000), check(7, 10_600)], [None, None, None]);
        let too_late = "the origin was restarted 601 s after the rollout began";
        assert_eq!(check(7, 10_601).as_deref(), Some(too_late));
        let set_back = "the origin was restarted, and its clock was set back by 3600 s or more since the rollout began";
        assert_eq!(check(7, 6_400).as_deref(), Some(set_back));
        assert_eq!(check(8, 10_000).as_deref(), Some("the channel was moved before the origin was restarted"));
    }
}
