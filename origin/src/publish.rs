//! Creating releases and moving channels.
//!
//! [`Publisher::publish`] and [`Publisher::move_channel`] check first what can be refused at once. The rest runs in a task that
//! continues when the client disconnects, and reports its progress through a [`ProgressStream`].

mod contents;
mod encoder;
mod error;
mod inheritance;
mod lifetime;
mod manifest_builder;
mod media_type;
mod rollback_target;
mod rollout;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use verge_daemon::{Clock, Tasks};
use verge_protocol::api::{Progress, Provenance};
use verge_protocol::host::HostLabel;
use verge_protocol::state::ChannelState;
use verge_protocol::{Build, Content, Digest, Position, ReleaseNumber, Seq};

use self::rollout::Rollout;
use crate::channel_locks::{ChannelGuard, ChannelLocks};
use crate::edge_reports::EdgeReports;
use crate::feed::Feed;
use crate::metrics::Metrics;
use crate::sites_url::SitesUrl;
use crate::store::{Blobs, Database, MoveTarget, NewLifetime, NewMove, NewRelease};

pub(crate) use self::contents::Contents;
pub(crate) use self::encoder::Encoder;
pub(crate) use self::error::PublishError;
pub(crate) use self::inheritance::choose as inherited;
pub(crate) use self::rollback_target::rollback_target;

/// How long a rollout waits for one more edge to confirm before the remaining edges are reported as lagging.
const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// How many of a channel's last moves are read: for the eight releases that may be inherited, repeated by rollbacks between them, and
/// for the target of a rollback.
pub(crate) const MOVES_READ: u32 = 64;

/// The progress of publishing, as it happens. An error is the last item.
pub(crate) type ProgressStream = mpsc::Receiver<Result<Progress, PublishError>>;
type ProgressSender = mpsc::Sender<Result<Progress, PublishError>>;

/// Creates releases and moves channels.
pub(crate) struct Publisher {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) contents: Contents,
    pub(crate) encoder: Encoder,
    pub(crate) feed: Feed,
    pub(crate) edge_reports: EdgeReports,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) sites_url: SitesUrl,
}

/// A move that was committed.
struct CommittedMove {
    label: HostLabel,
    position: Position,
    state: ChannelState,
    warnings: Vec<String>,
}

impl Publisher {
    /// Creates a release of `build`, all of whose blobs the site must hold, and moves the channel to it. `expected` is the channel's
    /// epoch as the caller knows it; `None`: the channel must not exist. `expires_seconds` is as in `CreateRelease`.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        label: HostLabel,
        expected: Option<Seq>,
        build: Build,
        provenance: Provenance,
        expires_seconds: Option<u64>,
    ) -> Result<ProgressStream, PublishError> {
        let guard = self.lock_channel(label)?;
        self.check_epoch(guard.label(), expected).await?;
        self.check_blobs(guard.label(), &build).await?;
        Ok(self.spawn(guard, move |publisher, label, progress| async move {
            let lifetime = expires_seconds.map(|seconds| NewLifetime { channel: label.channel.clone(), seconds });
            publisher.release(label, expected, build, provenance, lifetime, &progress).await
        }))
    }

    /// Moves a channel to an existing release.
    pub(crate) async fn move_channel(
        self: &Arc<Self>,
        label: HostLabel,
        expected: Option<Seq>,
        release: ReleaseNumber,
        manifest: Digest,
    ) -> Result<ProgressStream, PublishError> {
        let guard = self.lock_channel(label)?;
        self.check_epoch(guard.label(), expected).await?;
        Ok(self.spawn(guard, move |publisher, label, _| async move {
            publisher.commit_move(label, expected, MoveTarget::Existing(release, manifest), Vec::new()).await
        }))
    }

    /// Runs `work`, which ends in a move, and then the rollout, in a task; reports the progress of both.
    fn spawn<W, F>(self: &Arc<Self>, guard: ChannelGuard, work: W) -> ProgressStream
    where
        W: FnOnce(Arc<Self>, HostLabel, ProgressSender) -> F + Send + 'static,
        F: Future<Output = Result<CommittedMove, PublishError>> + Send,
    {
        let (sender, receiver) = mpsc::channel(64);
        let publisher = Arc::clone(self);
        drop(self.tasks.spawn("publish", async move {
            let outcome = work(Arc::clone(&publisher), guard.label().clone(), sender.clone()).await;
            // The next move of the channel need not wait for slow edges.
            drop(guard);
            match outcome {
                Ok(committed) => publisher.roll_out(committed, &sender).await,
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                }
            }
        }));
        receiver
    }

    fn lock_channel(&self, label: HostLabel) -> Result<ChannelGuard, PublishError> {
        self.channel_locks.try_lock(&label).ok_or(PublishError::ChannelBusy(label))
    }

    async fn check_epoch(&self, label: &HostLabel, expected: Option<Seq>) -> Result<(), PublishError> {
        let current = self.database.channel(&label.site, &label.channel).await?;
        if current.as_ref().map(|state| state.epoch) == expected {
            Ok(())
        } else {
            self.metrics.channel_conflicts.inc();
            Err(PublishError::Conflict { label: label.clone(), current })
        }
    }

    async fn check_blobs(&self, label: &HostLabel, build: &Build) -> Result<(), PublishError> {
        let missing = self.contents.missing(&label.site, build).await?;
        match missing.first() {
            None => Ok(()),
            Some(first) => Err(PublishError::MissingBlobs { missing: missing.len(), first: *first }),
        }
    }

    async fn release(
        &self,
        label: HostLabel,
        expected: Option<Seq>,
        build: Build,
        provenance: Provenance,
        lifetime: Option<NewLifetime>,
        progress: &ProgressSender,
    ) -> Result<CommittedMove, PublishError> {
        self.contents.verify(&build).await?;
        let contents = manifest_builder::encodable(&build);
        let encodings = self
            .encoder
            .encode(contents, |done, total| {
                // A slow client misses an event; the encoder does not wait for it.
                let _ = progress.try_send(Ok(Progress::Encoding { done, total }));
            })
            .await?;

        let (files, bytes) = (build.files.len() as u64, build.bytes());
        let _fingerprints = self.channel_locks.lock_fingerprints().await;
        let history = self.database.fingerprints(&label.site).await?;
        let output = manifest_builder::build_manifest(&label.site, build, &encodings, &history);
        let (manifest, blobs) = Content::cut(&output.manifest.to_bytes().into());
        for blob in &blobs {
            self.blobs.put_manifest(blob).await?;
        }
        self.blobs.sync().await?;
        let fingerprints = output.fingerprints;
        let new = NewRelease { manifest, files, bytes, provenance, fingerprints, lifetime };
        let committed = self.commit_move(label, expected, MoveTarget::New(new), output.warnings).await?;
        self.metrics.releases_created.inc();
        Ok(committed)
    }

    async fn commit_move(
        &self,
        label: HostLabel,
        expected: Option<Seq>,
        target: MoveTarget,
        warnings: Vec<String>,
    ) -> Result<CommittedMove, PublishError> {
        let now = self.clock.now();
        let moves = self.database.moves(&label.site, &label.channel, MOVES_READ).await?;
        let inherits = inheritance::choose(target.manifest(), &moves, now);
        let HostLabel { site, channel } = label.clone();
        match self.database.move_channel(&NewMove { site, channel, expected, target, inherits }, now).await? {
            Ok((position, state)) => {
                self.feed.announce(position);
                self.metrics.channel_moves.inc();
                tracing::info!(channel = %label, release = %state.release, epoch = %state.epoch, "channel moved");
                Ok(CommittedMove { label, position, state, warnings })
            }
            Err(current) => {
                self.metrics.channel_conflicts.inc();
                Err(PublishError::Conflict { label, current })
            }
        }
    }

    /// Reports that the move was committed, and then which edges serve it.
    async fn roll_out(&self, committed: CommittedMove, progress: &ProgressSender) {
        let CommittedMove { label, position, state, warnings } = committed;
        let url = self.sites_url.of(&label);
        let ChannelState { epoch, release, manifest, .. } = state;
        let _ = progress.send(Ok(Progress::Released { release, manifest, epoch, url, warnings })).await;

        let mut report_changes = self.edge_reports.subscribe();
        let mut rollout = Rollout::new(label, position, &self.edge_reports.all(), self.clock.now());
        let mut stalled_at = Instant::now() + STALL_TIMEOUT;
        loop {
            let confirmations = rollout.update(&self.edge_reports.all(), self.feed.position().generation);
            if !confirmations.is_empty() {
                stalled_at = Instant::now() + STALL_TIMEOUT;
            }
            for event in confirmations {
                let _ = progress.send(Ok(event)).await;
            }
            if rollout.is_complete() {
                break;
            }
            tokio::select! {
                _ = report_changes.changed() => {}
                () = tokio::time::sleep_until(stalled_at) => break,
                () = self.tasks.draining().cancelled() => break,
                // The client has disconnected.
                () = progress.closed() => return,
            }
        }
        let _ = progress.send(Ok(rollout.finish(&self.edge_reports.all(), self.clock.now()))).await;
    }
}
