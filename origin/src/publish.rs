//! Creating releases and moving channels.
//!
//! [`Publisher::publish`] and [`Publisher::move_channel`] check first what can be refused at once. The rest runs in a task that
//! continues when the client disconnects, and tells its progress.

mod build_output;
mod contents;
mod decoding;
mod difference;
mod encoder;
mod error;
mod examiner;
mod file_format;
mod former_scripts;
mod incompressible;
mod inheritance;
mod lifetime;
mod manifest_builder;
mod media_type;
mod rollback_target;
mod text;
mod turbopack;

use std::sync::Arc;

use verge_daemon::Tasks;
use verge_protocol::api::{Progress, Provenance};
use verge_protocol::canary::CanaryPlan;
use verge_protocol::host::HostLabel;
use verge_protocol::state::RolloutState;
use verge_protocol::{Build, Content, Digest, IdempotencyKey, Position, ReleaseNumber, Seq};

use crate::channel_locks::{ChannelGuard, ChannelLocks, Locked};
use crate::metrics::Metrics;
use crate::rollout::{CommittedMove, ProgressLog, ProgressStream, Rollouts};
use crate::store::{Blobs, Database, EarlierRequest, MoveTarget, NewLifetime, NewRelease, NewRollout};

pub(crate) use self::contents::Contents;
pub(crate) use self::difference::difference;
pub(crate) use self::encoder::Encoder;
pub(crate) use self::error::PublishError;
pub(crate) use self::examiner::Examiner;
pub(crate) use self::inheritance::{choose as inherited, expire as still_inherited, purge as inherited_after_purge};
pub(crate) use self::rollback_target::rollback_target;

/// Creates releases and moves channels.
pub(crate) struct Publisher {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) contents: Contents,
    pub(crate) examiner: Examiner,
    pub(crate) encoder: Encoder,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) rollouts: Rollouts,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Arc<Metrics>,
}

/// A request to move a channel.
#[derive(Clone)]
pub(crate) struct MoveRequest {
    pub(crate) label: HostLabel,
    /// The channel's epoch as the caller knows it; `None`: the channel must not exist.
    pub(crate) expected: Option<Seq>,
    /// A request with the same key is the same request, repeated.
    pub(crate) key: Option<IdempotencyKey>,
    /// How a few edges serve the release first.
    pub(crate) canary: Option<CanaryPlan>,
    /// Who makes it, unless the release tells.
    pub(crate) author: Option<String>,
}

/// What is to be done for a request that has locked its channel.
enum Start {
    /// Everything.
    Anew(ChannelGuard),
    /// Nothing: it was made before, and this is its progress.
    Repeated(ProgressStream),
}

impl Publisher {
    /// Creates a release of `build`, all of whose blobs the site must hold, and moves the channel to it. `expires_seconds` is as in
    /// `CreateRelease`.
    pub(crate) async fn publish(
        self: &Arc<Self>,
        request: MoveRequest,
        build: Build,
        provenance: Provenance,
        expires_seconds: Option<u64>,
    ) -> Result<ProgressStream, PublishError> {
        let guard = match self.start(&request).await? {
            Start::Anew(guard) => guard,
            Start::Repeated(progress) => return Ok(progress),
        };
        self.check_epoch(&request).await?;
        self.contents.check_erased(&request.label.site, &build).await?;
        self.check_blobs(&request.label, &build).await?;
        Ok(self.spawn(guard, move |publisher, log| async move {
            publisher.release(request, build, provenance, expires_seconds, &log).await
        }))
    }

    /// Moves a channel to an existing release.
    pub(crate) async fn move_channel(
        self: &Arc<Self>,
        request: MoveRequest,
        release: ReleaseNumber,
        manifest: Digest,
    ) -> Result<ProgressStream, PublishError> {
        let guard = match self.start(&request).await? {
            Start::Anew(guard) => guard,
            Start::Repeated(progress) => return Ok(progress),
        };
        self.check_epoch(&request).await?;
        self.contents.check_release(&request.label.site, release, manifest).await?;
        Ok(self.roll_out_existing(guard, request, release, manifest, Vec::new()))
    }

    /// The progress of what moves the channel now, or else which edges serve what it points at; `None` if it does not exist.
    pub(crate) async fn follow(&self, label: HostLabel) -> Result<Option<ProgressStream>, PublishError> {
        if let Some(progress) = self.channel_locks.follow(&label) {
            return Ok(Some(progress));
        }
        let Some(state) = self.database.channel(&label.site, &label.channel).await? else { return Ok(None) };
        let (epoch, release, manifest) = (state.epoch, state.release, state.manifest);
        Ok(Some(self.rollouts.confirm(CommittedMove { label, epoch, release, manifest, warnings: Vec::new() })))
    }

    /// Locks the channel for a request, unless it was made before.
    async fn start(self: &Arc<Self>, request: &MoveRequest) -> Result<Start, PublishError> {
        let MoveRequest { label, key, .. } = request;
        let guard = match self.channel_locks.try_lock(label, key.as_ref()) {
            Ok(guard) => guard,
            Err(Locked::BySameRequest(progress)) => return Ok(Start::Repeated(progress)),
            Err(Locked::ByOther) => {
                // Another request came after this one, which was made before.
                let earlier = match key {
                    Some(key) => self.database.earlier_request(label, key).await?,
                    None => None,
                };
                return match earlier {
                    Some(EarlierRequest::Moved { epoch, release, manifest, warnings }) => {
                        let committed = CommittedMove { label: label.clone(), epoch, release, manifest, warnings };
                        Ok(Start::Repeated(self.rollouts.confirm(committed)))
                    }
                    Some(EarlierRequest::Deleted) => Err(PublishError::ChannelDeleted(label.clone())),
                    _ => Err(PublishError::ChannelBusy(label.clone())),
                };
            }
        };
        let Some(key) = key else { return Ok(Start::Anew(guard)) };
        match self.database.earlier_request(label, key).await? {
            None => Ok(Start::Anew(guard)),
            Some(EarlierRequest::Moved { epoch, release, manifest, warnings }) => {
                let committed = CommittedMove { label: label.clone(), epoch, release, manifest, warnings };
                Ok(Start::Repeated(self.rollouts.confirm(committed)))
            }
            Some(EarlierRequest::Deleted) => Err(PublishError::ChannelDeleted(label.clone())),
            // It was abandoned: the release is rolled out once more.
            Some(EarlierRequest::Released { release, manifest, warnings }) => {
                self.check_epoch(request).await?;
                Ok(Start::Repeated(self.roll_out_existing(guard, request.clone(), release, manifest, warnings)))
            }
        }
    }

    fn roll_out_existing(
        self: &Arc<Self>,
        guard: ChannelGuard,
        MoveRequest { label, expected, key, canary, author }: MoveRequest,
        release: ReleaseNumber,
        manifest: Digest,
        warnings: Vec<String>,
    ) -> ProgressStream {
        self.spawn(guard, move |publisher, _| async move {
            // Nothing is erased or deleted until the rollout has begun.
            let _lock = publisher.channel_locks.lock_fingerprints().await;
            if !publisher.database.has_release(&label.site, release).await? {
                return Err(PublishError::DeletedRelease { site: label.site, release });
            }
            publisher.contents.check_release(&label.site, release, manifest).await?;
            let target = MoveTarget::Existing(release, manifest);
            let new = NewRollout { label, expected, target, idempotency_key: key, canary, author };
            Ok((publisher.rollouts.begin(new).await?, warnings))
        })
    }

    /// Runs `work`, which begins a rollout, and then the rollout, in a task.
    fn spawn<W, F>(self: &Arc<Self>, guard: ChannelGuard, work: W) -> ProgressStream
    where
        W: FnOnce(Arc<Self>, ProgressLog) -> F + Send + 'static,
        F: Future<Output = Result<((Position, RolloutState), Vec<String>), PublishError>> + Send,
    {
        let log = guard.log().clone();
        let progress = log.follow();
        let publisher = Arc::clone(self);
        drop(self.tasks.spawn("publish", async move {
            match work(Arc::clone(&publisher), log.clone()).await {
                Ok((rollout, warnings)) => publisher.rollouts.run(guard, rollout, warnings).await,
                Err(error) => log.push(Err(error)),
            }
        }));
        progress
    }

    async fn check_epoch(&self, request: &MoveRequest) -> Result<(), PublishError> {
        let label = &request.label;
        let current = self.database.channel(&label.site, &label.channel).await?;
        if current.as_ref().map(|state| state.epoch) == request.expected {
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

    /// Creates the release and begins its rollout.
    async fn release(
        &self,
        MoveRequest { label, expected, key, canary, author }: MoveRequest,
        build: Build,
        provenance: Provenance,
        expires_seconds: Option<u64>,
        log: &ProgressLog,
    ) -> Result<((Position, RolloutState), Vec<String>), PublishError> {
        self.contents.verify(&build).await?;
        let mut formats = self.examiner.formats(&build).await?;
        let contents = manifest_builder::encodable(&build, &formats);
        let progress = |done, total| log.push(Ok(Progress::Encoding { done, total }));
        let given = std::mem::take(&mut formats.given);
        let encodings = self.encoder.encode(&label.site, contents, given, progress).await?;

        let (files, bytes) = (build.files.len() as u64, build.bytes());
        let _fingerprints = self.channel_locks.lock_fingerprints().await;
        // Contents and blobs may have been erased meanwhile.
        self.contents.check_erased(&label.site, &build).await?;
        self.check_blobs(&label, &build).await?;
        let history = manifest_builder::SiteHistory::load(&self.contents, &label.site).await?;
        let output = manifest_builder::build_manifest(&label.site, build, formats, &encodings, history);
        let (manifest, blobs) = Content::cut(&output.manifest.to_bytes().into());
        for blob in &blobs {
            self.blobs.put_manifest(blob).await?;
        }
        self.blobs.sync().await?;
        let warnings = output.warnings.clone();
        let fingerprints = output.fingerprints;
        let lifetime = expires_seconds.map(|seconds| NewLifetime { channel: label.channel.clone(), seconds });
        let new = NewRelease { manifest, files, bytes, provenance, fingerprints, warnings: output.warnings, lifetime };
        let new = NewRollout { label, expected, target: MoveTarget::New(new), idempotency_key: key, canary, author };
        let rollout = self.rollouts.begin(new).await?;
        self.metrics.releases_created.inc();
        Ok((rollout, warnings))
    }
}
