//! A push: a directory becomes a release, and a channel points at it.
//!
//! scan → create the site → register the build → check it against limits and the current release → upload → release → rollout

mod precheck;

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use tokio::time::Instant;
use verge_protocol::api::{BuildCreated, BuildDiff, CreateRelease, Provenance};
use verge_protocol::{BuildId, ChannelName, Seq, SiteName};

pub use self::precheck::{LimitsExceeded, Shrunk};
use crate::channel::Lifetime;
use crate::client::{Client, ClientError};
use crate::output::{Output, Unit, human};
use crate::rollout::{self, Rollout, RolloutError};
use crate::scan::{FallbackSource, Listing, Options, Scan, ScanError, SkipReason};
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
    /// Whether to wait until every edge serves the release.
    pub wait: bool,
    /// How requests are retried.
    pub retry: RetryPolicy,
}

/// The result of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// The release, and the edges that serve it.
    pub rollout: Rollout,
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
    Rollout(RolloutError),
}

impl Push<'_> {
    /// Pushes, and reports progress on `output`.
    pub async fn run(&self, output: &Output) -> Result<Pushed, PushError> {
        let start = Instant::now();
        let (scan, mut warnings) = self.scan(output).await?;
        let Scan { build, paths } = scan;
        let session = UploadSession::new(self.client, self.site, self.channel, &build, paths, self.retry);
        session.create_site(output).await?;
        let created = session.register(output).await?;
        precheck::check_limits(&build, &created.limits)?;
        if !self.options.force {
            precheck::check_not_shrunk(&build, created.current.as_ref())?;
        }
        let id = session.send_missing(&created, output).await?;
        let rollout = self.release(&session, id, &created, output).await?;
        warnings.extend(rollout.released.warnings.iter().cloned());
        Ok(Pushed {
            files: build.files.len() as u64,
            bytes: build.bytes(),
            changes: created.changes,
            sent_bytes: session.sent_bytes(),
            saved_bytes: session.saved_bytes(&created),
            duration: start.elapsed(),
            rollout,
            warnings,
        })
    }

    /// Scans and hashes the directory. Returns its warnings too, which have been printed.
    async fn scan(&self, output: &Output) -> Result<(Scan, Vec<String>), PushError> {
        let (dir, options) = (self.dir.to_owned(), self.options);
        let mut listing = blocking(move || Listing::new(&dir, options)).await;
        print_skipped(&listing, output);
        let warnings = std::mem::take(&mut listing.warnings);
        for warning in &warnings {
            output.warn(warning);
        }
        let single_page = listing.single_page();
        let (files, bytes) = (listing.files() as u64, listing.bytes());
        let step = output.step("hashing", Unit::Bytes, bytes);
        let progress = step.clone();
        let scan = blocking(move || listing.hash(|path| File::open(path), |bytes| progress.advance(bytes))).await?;
        step.finish(format_args!("hashed {}, {}", human::count(files, "file"), human::bytes(scan.build.bytes())));
        if single_page == Some(FallbackSource::Detected) {
            output.info(
                "  detected a single-page app: paths that match no file serve index.html (disable with --no-spa or `spa = false`)",
            );
        }
        Ok((scan, warnings))
    }

    /// Makes the release. Blobs that the origin has lost meanwhile are sent again, once.
    async fn release(
        &self,
        session: &UploadSession<'_>,
        build: BuildId,
        created: &BuildCreated,
        output: &Output,
    ) -> Result<Rollout, PushError> {
        let expected = created.current.map(|current| current.epoch);
        let mut outcome = self.try_release(build, expected, output).await;
        if outcome.as_ref().is_err_and(|error| error.code() == Some("missing_blobs")) {
            let created = session.register(output).await?;
            let build = session.send_missing(&created, output).await?;
            outcome = self.try_release(build, expected, output).await;
        }
        match outcome {
            Ok(rollout) => Ok(rollout),
            Err(error) => Err(PushError::Rollout(RolloutError::new(error, self.client, self.site, self.channel).await)),
        }
    }

    async fn try_release(
        &self,
        build: BuildId,
        expected: Option<Seq>,
        output: &Output,
    ) -> Result<Rollout, ClientError> {
        let provenance = self.provenance.clone();
        let body = CreateRelease {
            build,
            channel: self.channel.clone(),
            expected,
            provenance,
            idempotency_key: None,
            expires_seconds: self.lifetime.map(Lifetime::seconds),
        };
        // Only if no connection was established is it certain that the channel has not moved.
        let nothing_was_sent = |error: &ClientError| matches!(error, ClientError::Unreachable { .. });
        let request = async || self.client.create_release(self.site, &body).await;
        let events = self.retry.run(output, nothing_was_sent, request).await?;
        rollout::track(events, self.wait, output).await
    }
}

fn print_skipped(listing: &Listing, output: &Output) {
    for reason in SkipReason::ALL {
        let skipped: Vec<&str> =
            listing.skipped.iter().filter(|skipped| skipped.reason == reason).map(|skipped| &*skipped.path).collect();
        if skipped.is_empty() {
            continue;
        }
        let kind = match reason {
            SkipReason::Hidden => "hidden files",
            SkipReason::Junk => "development files",
            SkipReason::Ignored => "files in .assetsignore",
        };
        let more = skipped.len().saturating_sub(SKIPPED_SHOWN);
        let named = skipped[..skipped.len().min(SKIPPED_SHOWN)].join(", ");
        let named = if more > 0 { format!("{named} and {more} more") } else { named };
        output.info(format_args!("  skipped {kind}: {named}"));
    }
}

/// Runs blocking work on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work neither panics nor is cancelled")
}
