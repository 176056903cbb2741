//! A push: a directory becomes a release, and a channel points at it.
//!
//! scan → create the site → register the build → check it against limits and the current release → upload → release → rollout
//!
//! A build that the channel serves already becomes no release, unless the channel expires or the push says whether it does: a release
//! begins its time anew. Blobs that the origin has lost are uploaded all the same.

pub(crate) mod precheck;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;
use verge_protocol::api::{BuildCreated, BuildDiff, CreateRelease, Provenance, Site};
use verge_protocol::canary::CanaryPlan;
use verge_protocol::{BuildId, ChannelName, ReleaseNumber, SiteName, Timestamp};

pub use self::precheck::{LimitsExceeded, Shrunk};
use crate::channel::Lifetime;
use crate::check;
use crate::client::{Client, ClientError};
use crate::last_push::LastPush;
use crate::output::{Output, Unit, human};
use crate::rollout::{Attempt, Released, Rollout, RolloutError, Wait};
use crate::scan::{FallbackSource, Listing, Options, Scan, ScanError, SkipReason, Skipped};
use crate::upload::{RetryPolicy, UploadError, UploadSession};

/// How many skipped files are named for each reason.
const SKIPPED_SHOWN: usize = 3;

/// What is pushed, and where.
pub struct Push<'a> {
    /// The origin.
    pub client: &'a Client,
    /// The site; created if it does not exist.
    pub site: &'a SiteName,
    /// The channel that will point at the release.
    pub channel: &'a ChannelName,
    /// How long the channel exists after this push; `None`: as the last push to it said.
    pub lifetime: Option<Lifetime>,
    /// The directory.
    pub dir: &'a Path,
    /// How the directory is scanned.
    pub options: Options,
    /// The author, message and commit of the release.
    pub provenance: Provenance,
    /// How the release is tried on a few edges first.
    pub canary: Option<CanaryPlan>,
    /// What is waited for after the release.
    pub wait: Wait,
    /// How requests are retried.
    pub retry: RetryPolicy,
}

/// The result of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The release, and the edges that serve it.
    pub rollout: Rollout,
    /// Whether the release is new; else the channel served exactly this build already.
    pub is_new: bool,
    /// When the origin deletes the channel, unless it is moved before; `None`: never, or unknown.
    pub expires: Option<Timestamp>,
    /// Files in the release.
    pub files: u64,
    /// The total size of its files, in bytes.
    pub bytes: u64,
    /// How it differs from the previous release of the channel.
    pub changes: BuildDiff,
    /// Bytes sent, compressed.
    pub sent_bytes: u64,
    /// The size of the blobs that the origin already had; each blob counts once.
    pub saved_bytes: u64,
    /// How long the push took.
    pub duration: Duration,
    /// The warnings of the scan, then those of the origin.
    pub warnings: Vec<String>,
    /// How many links lead nowhere, as `verge check` reports them. 0: none, or there are too many pages to look at in passing.
    pub dead_links: u64,
    /// What `verge check` compares the next build with.
    pub memory: LastPush,
}

/// Why a push failed. The channel has not moved, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The directory cannot be pushed as it is.
    #[error(transparent)]
    Scan(#[from] ScanError),
    /// The build exceeds the limits of the origin.
    #[error(transparent)]
    LimitsExceeded(#[from] LimitsExceeded),
    /// The build has so few files that it is probably the wrong directory.
    #[error(transparent)]
    Shrunk(#[from] Shrunk),
    /// The origin did not accept the build.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The blobs were not uploaded.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The release was not made.
    #[error(transparent)]
    Rollout(#[from] RolloutError),
}

impl Push<'_> {
    /// Pushes, and reports progress on `output`.
    pub async fn run(&self, output: &Output) -> Result<Pushed, PushError> {
        let start = Instant::now();
        let (scan, mut warnings) = self.scan(output).await?;
        let scan = Arc::new(scan);
        let dead_links = self.count_dead_links(&scan);
        let Scan { build, paths } = &*scan;
        let session = UploadSession::new(self.client, self.site, self.channel, build, paths.clone(), self.retry);
        session.create_site(output).await?;
        let created = session.register(output).await?;
        precheck::check_limits(build, &created.limits)?;
        if !self.options.force {
            precheck::check_not_shrunk(build, created.current.as_ref())?;
        }
        let is_skipped = created.unchanged == Some(true)
            && !self.options.force
            && self.lifetime.is_none()
            && self.expires(output).await?.is_none();
        let unchanged = created.current.filter(|_| is_skipped);
        let rollout = if let Some(current) = unchanged {
            if !created.missing.is_empty() {
                session.send_missing(&created, output).await?;
            }
            self.follow_unchanged(current.release, output).await?
        } else {
            let id = session.send_missing(&created, output).await?;
            self.release(&session, id, &created, output).await?
        };
        warnings.extend(rollout.released.warnings.iter().cloned());
        Ok(Pushed {
            files: build.files.len() as u64,
            bytes: build.bytes(),
            changes: created.changes,
            sent_bytes: session.sent_bytes(),
            saved_bytes: session.saved_bytes(&created),
            duration: start.elapsed(),
            // What was pushed is released, whether or not this is known.
            expires: self.expires(output).await.unwrap_or_default(),
            memory: LastPush::new(self.site, rollout.released.release, created.limits, build),
            rollout,
            is_new: unchanged.is_none(),
            warnings,
            dead_links: dead_links.await.unwrap_or_default(),
        })
    }

    /// Scans and hashes the directory. Returns its warnings too, which have been printed.
    async fn scan(&self, output: &Output) -> Result<(Scan, Vec<String>), PushError> {
        let (dir, mut options) = (self.dir.to_owned(), self.options.clone());
        options.site = self.site.to_string();
        let mut listing = blocking(move || Listing::new(&dir, options)).await;
        print_skipped(&listing.skipped, output);
        let warnings = std::mem::take(&mut listing.warnings);
        for warning in &warnings {
            output.warn(warning);
        }
        let (single_page, source) = (listing.single_page(), listing.single_page_source().clone());
        let (files, bytes) = (listing.files() as u64, listing.bytes());
        let step = output.step("hashing", Unit::Bytes, bytes);
        let progress = step.clone();
        let scan = blocking(move || listing.hash(|path| File::open(path), |bytes| progress.advance(bytes))).await?;
        step.finish(format_args!("hashed {}, {}", human::count(files, "file"), human::bytes(scan.build.bytes())));
        print_single_page(single_page, &source, output);
        Ok((scan, warnings))
    }

    /// Counts the links that lead nowhere, while the push goes on.
    fn count_dead_links(&self, scan: &Arc<Scan>) -> JoinHandle<u64> {
        let (scan, site) = (Arc::clone(scan), self.site.clone());
        tokio::task::spawn_blocking(move || check::count_dead_links(&scan, &site))
    }

    /// When the channel expires, as it is now. Channel `live` does not.
    async fn expires(&self, output: &Output) -> Result<Option<Timestamp>, ClientError> {
        if self.channel.is_live() {
            return Ok(None);
        }
        let path = format!("/v1/sites/{}", self.site);
        let site: Site =
            self.retry.run(output, ClientError::is_transient, async || self.client.get(&path).await).await?;
        Ok(site.channels.into_iter().find(|channel| channel.name == *self.channel).and_then(|channel| channel.expires))
    }

    fn attempt<'a>(&'a self, output: &'a Output) -> Attempt<'a> {
        Attempt::new(self.client, self.site, self.channel, self.wait, self.retry, output)
    }

    /// Makes the release. Blobs, or the build, that the origin has lost meanwhile are sent again, once.
    async fn release(
        &self,
        session: &UploadSession<'_>,
        build: BuildId,
        created: &BuildCreated,
        output: &Output,
    ) -> Result<Rollout, PushError> {
        let mut attempt = self.attempt(output);
        let mut body = CreateRelease {
            build,
            channel: self.channel.clone(),
            expected: created.current.map(|current| current.epoch),
            provenance: self.provenance.clone(),
            idempotency_key: Some(attempt.key()),
            expires_seconds: self.lifetime.map(Lifetime::seconds),
            canary: self.canary,
        };
        let mut outcome = attempt.run(async || self.client.create_release(self.site, &body).await).await;
        if let Err(error) = &outcome
            && matches!(error.code(), Some("missing_blobs" | "unknown_build"))
        {
            let lost = |error| PushError::from(attempt.lost(error));
            let created = session.register(output).await.map_err(lost)?;
            body.build = session.send_missing(&created, output).await.map_err(|error| match error {
                UploadError::Client(error) => lost(error),
                error => error.into(),
            })?;
            outcome = attempt.run(async || self.client.create_release(self.site, &body).await).await;
        }
        let error = match outcome {
            Ok(rollout) => return Ok(rollout),
            Err(error) => error,
        };
        if attempt.may_have_succeeded(&error)
            && let Some(released) =
                self.find_own_release(&attempt, session, output).await.map_err(|error| attempt.lost(error))?
        {
            return Ok(attempt.follow_lost(released).await?);
        }
        Err(attempt.failed(error).await.into())
    }

    /// The release that the channel points at, if it is ours: it serves exactly our build, and comes from where ours comes
    /// from.
    async fn find_own_release(
        &self,
        attempt: &Attempt<'_>,
        session: &UploadSession<'_>,
        output: &Output,
    ) -> Result<Option<Released>, ClientError> {
        let created = session.register(output).await?;
        let changes = BuildDiff { unchanged: 0, ..created.changes };
        // An older origin compares files only.
        let is_served = created.unchanged.unwrap_or(changes == BuildDiff::default());
        let Some(current) = created.current.filter(|_| is_served) else { return Ok(None) };
        let found = attempt.find_current(current.release).await?;
        Ok(found.filter(|(release, _)| release.provenance == self.provenance).map(|(_, released)| released))
    }

    /// Waits until the edges serve the current release.
    async fn follow_unchanged(&self, current: ReleaseNumber, output: &Output) -> Result<Rollout, PushError> {
        let attempt = self.attempt(output);
        match attempt.find_current(current).await? {
            Some((_, released)) => Ok(attempt.follow_current(released).await?),
            None => Err(RolloutError::Conflict(format!("{current} is not the current release any more")).into()),
        }
    }
}

/// Says what is left out.
pub(crate) fn print_skipped(skipped: &[Skipped], output: &Output) {
    for reason in SkipReason::ALL {
        let skipped: Vec<&str> =
            skipped.iter().filter(|skipped| skipped.reason == reason).map(|skipped| &*skipped.path).collect();
        if skipped.is_empty() {
            continue;
        }
        let kind = match reason {
            SkipReason::Hidden => "hidden files",
            SkipReason::Junk => "development files",
            SkipReason::ServerCode => "server code, which is not run",
            SkipReason::Ignored => "files in .assetsignore",
        };
        let more = skipped.len().saturating_sub(SKIPPED_SHOWN);
        let named = skipped[..skipped.len().min(SKIPPED_SHOWN)].join(", ");
        let named = if more > 0 { format!("{named} and {more} more") } else { named };
        let text = format!("skipped {kind}: {named}");
        match output.options().quiet {
            false => output.info(format_args!("  {text}")),
            // It may be the reason why something is missing on the site.
            true if reason.is_automatic() => output.warn(text),
            true => {}
        }
    }
}

/// Says what was detected, and why.
pub(crate) fn print_single_page(page: Option<&str>, source: &FallbackSource, output: &Output) {
    match (page, source) {
        (Some(page), FallbackSource::Detected(evidence)) => output.info(format_args!(
            "  detected a single-page app ({evidence}): paths that match no file serve {page} (disable with --no-spa or `spa = false`)"
        )),
        (None, FallbackSource::Undecided) => output.info(
            "  index.html is the only page, but not one that a script fills: paths that match no file are not found (if this is a \
             single-page app, use --spa or `spa = true`)",
        ),
        _ => {}
    }
}

/// Runs blocking work on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work neither panics nor is cancelled")
}
