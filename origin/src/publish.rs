//! Making releases and moving channels.
//!
//! `publish` and `move_to` check what can be refused at once, then leave the rest to a task of its own, which a client that
//! goes away does not stop. Its progress comes through a channel.

mod manifest_builder;
mod rollout;
mod contents;
mod encoder;
mod inheritance;
mod lifetime;
mod media_type;
mod rollback_target;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use verge_protocol::api::{Progress, Provenance};
use verge_protocol::host::HostLabel;
use verge_protocol::state::ChannelState;
use verge_protocol::{Build, Coding, Content, Digest, Position, ReleaseNumber, Seq};

use self::rollout::Rollout;
use crate::app::App;
use crate::store::{NewRelease, StoreError, Switch, Target};
use crate::channel_locks::ChannelGuard;

pub(crate) use self::contents::{changes, manifest_bytes, missing};
pub(crate) use self::rollback_target::rollback_target;

/// How long edges may go without one more of them confirming before the rest are called lagging.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many of a channel's last moves are looked at: for the eight that may be inherited, repeated by rollbacks between them, and
/// for what a rollback goes back to.
pub(crate) const MOVES_READ: u32 = 64;

/// Why a release could not be made or a channel moved. Nothing has happened to the channel.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PublishError {
    #[error("{} is at {}", .label, at(.current.as_ref()))]
    Conflict { label: HostLabel, current: Option<ChannelState> },
    #[error("{0} is being moved by somebody else")]
    Busy(HostLabel),
    #[error("{missing} blobs of the build are missing, {first} among them")]
    MissingBlobs { missing: usize, first: Digest },
    #[error("blob {0} went bad at rest")]
    BadBlob(Digest),
    #[error("content {digest} could not be encoded by {coding}")]
    Encoding { digest: Digest, coding: Coding, source: std::io::Error },
    #[error(transparent)]
    Manifest(#[from] verge_protocol::manifest::ManifestError),
    #[error("content {0} is not what its blobs make up")]
    WrongContent(Digest),
    #[error("there is no manifest {0}")]
    UnknownManifest(Digest),
    #[error("manifest {0} was lost")]
    LostManifest(Digest),
    #[error(transparent)]
    Store(#[from] StoreError),
}

fn at(current: Option<&ChannelState>) -> String {
    current.map_or_else(|| "no release yet".to_owned(), |state| state.release.to_string())
}

/// How publishing goes on, as it goes; an error is the last word.
pub(crate) type Steps = mpsc::Receiver<Result<Progress, PublishError>>;
type StepSender = mpsc::Sender<Result<Progress, PublishError>>;

fn lock_channel(app: &App, label: HostLabel) -> Result<ChannelGuard, PublishError> {
    app.channel_locks.take(&label).ok_or(PublishError::Busy(label))
}

/// Makes a release of `build`, all of whose blobs the site must hold, and moves the channel to it.
pub(crate) async fn publish(
    app: &Arc<App>,
    label: HostLabel,
    expected: Option<Seq>,
    build: Build,
    provenance: Provenance,
) -> Result<Steps, PublishError> {
    let guard = lock_channel(app, label)?;
    check_epoch(app, guard.label(), expected).await?;
    check_blobs(app, guard.label(), &build).await?;
    Ok(run(Arc::clone(app), guard, move |app, label, progress| async move {
        release(&app, label, expected, build, provenance, &progress).await
    }))
}

/// Moves a channel to a release that exists.
pub(crate) async fn move_to(
    app: &Arc<App>,
    label: HostLabel,
    expected: Option<Seq>,
    release: ReleaseNumber,
    manifest: Digest,
) -> Result<Steps, PublishError> {
    let guard = lock_channel(app, label)?;
    check_epoch(app, guard.label(), expected).await?;
    Ok(run(Arc::clone(app), guard, move |app, label, _| async move {
        switch(&app, label, expected, Target::Existing(release, manifest), Vec::new()).await
    }))
}

/// A switch that happened.
struct Switched {
    label: HostLabel,
    position: Position,
    state: ChannelState,
    warnings: Vec<String>,
}

/// Runs `work`, which ends in a switch, and then waits for the edges; tells all of it.
fn run<W, F>(app: Arc<App>, guard: ChannelGuard, work: W) -> Steps
where
    W: FnOnce(Arc<App>, HostLabel, StepSender) -> F + Send + 'static,
    F: Future<Output = Result<Switched, PublishError>> + Send,
{
    let (sender, receiver) = mpsc::channel(64);
    let tasks = app.tasks.clone();
    drop(tasks.spawn("publish", async move {
        let outcome = work(Arc::clone(&app), guard.label().clone(), sender.clone()).await;
        // From here on the next one may move the channel: it need not wait for slow edges.
        drop(guard);
        match outcome {
            Ok(switched) => follow(&app, switched, &sender).await,
            Err(error) => {
                let _ = sender.send(Err(error)).await;
            }
        }
    }));
    receiver
}

async fn check_epoch(app: &App, label: &HostLabel, expected: Option<Seq>) -> Result<(), PublishError> {
    let current = app.database.channel(&label.site, &label.channel).await?;
    if current.as_ref().map(|state| state.epoch) == expected {
        Ok(())
    } else {
        app.metrics.conflicts.inc();
        Err(PublishError::Conflict { label: label.clone(), current })
    }
}

async fn check_blobs(app: &App, label: &HostLabel, build: &Build) -> Result<(), PublishError> {
    let missing = contents::missing(app, &label.site, build).await?;
    match missing.first() {
        None => Ok(()),
        Some(first) => Err(PublishError::MissingBlobs { missing: missing.len(), first: *first }),
    }
}

async fn release(
    app: &Arc<App>,
    label: HostLabel,
    expected: Option<Seq>,
    build: Build,
    provenance: Provenance,
    progress: &StepSender,
) -> Result<Switched, PublishError> {
    contents::verify(app, &build).await?;
    let contents = manifest_builder::encodable(&build);
    let encodings = encoder::all(app, contents, |done, total| {
        // A slow reader misses a step, not the work its time.
        let _ = progress.try_send(Ok(Progress::Encoding { done, total }));
    })
    .await?;

    let (files, bytes) = (build.files.len() as u64, build.bytes());
    let _history = app.channel_locks.history().await;
    let history = app.database.fingerprints(&label.site).await?;
    let built = manifest_builder::build_manifest(&label.site, build, &encodings, &history);
    let (manifest, blobs) = Content::cut(&built.manifest.to_bytes().into());
    for blob in &blobs {
        app.blobs.put(blob).await?;
    }
    app.blobs.sync().await?;
    let new = NewRelease { manifest, files, bytes, provenance, fingerprints: built.fingerprints };
    let switched = switch(app, label, expected, Target::New(new), built.notices).await?;
    app.metrics.releases.inc();
    Ok(switched)
}

async fn switch(
    app: &App,
    label: HostLabel,
    expected: Option<Seq>,
    target: Target,
    warnings: Vec<String>,
) -> Result<Switched, PublishError> {
    let now = app.clock.now();
    let manifest = match &target {
        Target::New(new) => new.manifest.digest(),
        Target::Existing(_, manifest) => *manifest,
    };
    let moves = app.database.moves(&label.site, &label.channel, MOVES_READ).await?;
    let inherits = inheritance::choose(manifest, &moves, now);
    let HostLabel { site, channel } = label.clone();
    let switch = Switch { site, channel, expected, target, inherits };
    match app.database.switch(&switch, now).await? {
        Ok((position, state)) => {
            app.announce(position);
            app.metrics.moves.inc();
            tracing::info!(channel = %label, release = %state.release, epoch = %state.epoch, "a channel was moved");
            Ok(Switched { label, position, state, warnings })
        }
        Err(current) => {
            app.metrics.conflicts.inc();
            Err(PublishError::Conflict { label, current })
        }
    }
}

/// Tells that the switch happened, then which edges serve it.
async fn follow(app: &App, switched: Switched, progress: &StepSender) {
    let Switched { label, position, state, warnings } = switched;
    let url = app.sites_url.of(&label);
    let ChannelState { epoch, release, manifest, .. } = state;
    let _ = progress.send(Ok(Progress::Released { release, manifest, epoch, url, warnings })).await;

    let mut reports = app.edge_reports.watch();
    let mut rollout = Rollout::new(label, position, &app.edge_reports.heard(), app.clock.now());
    let mut patience = Instant::now() + PATIENCE;
    loop {
        let news = rollout.update(&app.edge_reports.heard());
        if !news.is_empty() {
            patience = Instant::now() + PATIENCE;
        }
        for event in news {
            let _ = progress.send(Ok(event)).await;
        }
        if rollout.is_complete() {
            break;
        }
        tokio::select! {
            _ = reports.changed() => {}
            () = tokio::time::sleep_until(patience) => break,
            () = app.tasks.draining().cancelled() => break,
            // Nobody listens any more.
            () = progress.closed() => return,
        }
    }
    let _ = progress.send(Ok(rollout.finish(&app.edge_reports.heard(), app.clock.now()))).await;
}
