//! A push: a folder becomes a release, and a channel points at it.
//!
//! look → name the build → check it against the origin's answer → upload → publish → follow

mod checks;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use verge_protocol::api::{BuildCreated, BuildDiff, CreateRelease, Provenance};
use verge_protocol::{Build, BuildId, ChannelName, Seq, SiteName, compression};

use crate::client::{Client, ClientError};
use crate::follow::{FollowError, Followed, follow};
use crate::output::{Output, Unit, human};
use crate::scan::{Listing, Options, Reason, Refused, Scan, Why};
use crate::upload::{Patience, Sources, Upload, UploadError};

/// How many of the files that are left out are named.
const NAMED: usize = 3;

/// What is pushed, and where.
pub struct Push<'a> {
    /// Whom to push to.
    pub client: &'a Client,
    /// The site; created when the origin does not know it.
    pub site: &'a SiteName,
    /// The channel that is to point at the release.
    pub channel: &'a ChannelName,
    /// The folder.
    pub folder: &'a Path,
    /// How it is looked at.
    pub options: Options,
    /// What the release says of itself.
    pub provenance: Provenance,
    /// Whether to wait until every edge serves it.
    pub wait: bool,
    /// How long trouble on the way is put up with.
    pub patience: Patience,
}

/// What came of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the channel points at now, and where it is served.
    pub followed: Followed,
    /// Files in the release.
    pub files: u64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// How it differs from what the channel pointed at before.
    pub changes: BuildDiff,
    /// Bytes that travelled, compressed.
    pub sent_bytes: u64,
    /// Bytes of blobs that did not have to travel, because the origin held them; each blob counts once.
    pub saved_bytes: u64,
    /// How long it took.
    pub took: Duration,
    /// What a person should know, in sentences: the scan's warnings, then the origin's notices.
    pub notices: Vec<String>,
}

/// Why a push came to nothing. The channel is where it was, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
pub enum PushError {
    /// The folder cannot be pushed as it is.
    #[error(transparent)]
    Folder(#[from] Refused),
    /// The build is larger than the origin takes.
    #[error("the build is more than the origin takes")]
    TooMuch(Vec<String>),
    /// It has so few files that it is likely the wrong folder.
    #[error("the folder has {}, less than half of the {had} that {release} has", human::count(*has, "file"))]
    Shrunk {
        /// Files in the folder.
        has: u64,
        /// Files in the release that the channel points at.
        had: u64,
        /// That release.
        release: verge_protocol::ReleaseNumber,
    },
    /// The origin did not take the build.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// Blobs did not arrive.
    #[error(transparent)]
    Upload(#[from] UploadError),
    /// The channel did not move.
    #[error(transparent)]
    Follow(FollowError),
}

impl Push<'_> {
    /// Pushes, and says on `output` how it goes.
    pub async fn run(&self, output: &Output) -> Result<Pushed, PushError> {
        let start = Instant::now();
        let (scan, mut notices) = self.look(output).await?;
        let Scan { build, sources } = scan;
        let packed = pack(&build);
        let answer = self.create_build(packed.clone(), output).await?;
        checks::fits(&build, &answer.limits).map_err(PushError::TooMuch)?;
        if !self.options.force {
            checks::is_no_collapse(&build, answer.current.as_ref())?;
        }
        let sources = Arc::new(Sources::of(&build, sources));
        let saved_bytes = sources.all_bytes().saturating_sub(sources.bytes(&answer.missing));
        let upload = Upload {
            client: self.client,
            site: self.site,
            channel: self.channel,
            build: packed,
            sources,
            patience: self.patience,
            sent: Arc::new(AtomicU64::new(0)),
        };
        let id = upload_missing(&upload, &answer, output).await?;
        let followed = self.publish(&upload, id, &answer, output).await?;
        notices.extend(followed.released.notices.iter().cloned());
        Ok(Pushed {
            files: build.files.len() as u64,
            bytes: build.bytes(),
            changes: answer.changes,
            sent_bytes: upload.sent.load(Ordering::Relaxed),
            saved_bytes,
            took: start.elapsed(),
            followed,
            notices,
        })
    }

    /// Looks the folder through and reads it. Returns its warnings too, which were said.
    async fn look(&self, output: &Output) -> Result<(Scan, Vec<String>), PushError> {
        let (folder, options) = (self.folder.to_owned(), self.options);
        let mut listing = blocking(move || Listing::of(&folder, options)).await;
        say_skipped(&listing, output);
        let warnings = std::mem::take(&mut listing.warnings);
        for warning in &warnings {
            output.warn(warning);
        }
        let single_page = listing.single_page();
        let (files, bytes) = (listing.files() as u64, listing.bytes());
        let step = output.step("hashing", Unit::Bytes, bytes);
        let hashing = step.clone();
        let scan = blocking(move || listing.read(|path| File::open(path), |bytes| hashing.advance(bytes))).await?;
        step.finish(format_args!("hashed {}, {}", human::count(files, "file"), human::bytes(scan.build.bytes())));
        if single_page == Some(Why::Detected) {
            output.say("  single-page app: paths without a file answer index.html (turn it off with --no-spa or `spa = false`)");
        }
        Ok((scan, warnings))
    }

    /// Names the build, and creates the site if need be. Either may be asked twice, so neither a cut nor a restart ends a push.
    async fn create_build(&self, build: Bytes, output: &Output) -> Result<BuildCreated, ClientError> {
        let repeat = |error: &ClientError| error.is_passing();
        // An address at which nobody has answered yet is more likely mistyped than passing by.
        let first = |error: &ClientError| repeat(error) && !matches!(error, ClientError::Unreachable { .. });
        let create = async || self.client.create_build(self.site, self.channel, build.clone()).await;
        match self.patience.retry(output, first, create).await {
            Err(error) if error.code() == Some("unknown_site") => {
                self.patience.retry(output, repeat, async || self.client.create_site(self.site).await).await?;
                output.done(format_args!("created the site {}", self.site));
                self.patience.retry(output, repeat, create).await
            }
            answer => answer,
        }
    }

    /// Publishes. Blobs that the origin has lost since it was sent them are sent once more.
    async fn publish(
        &self,
        upload: &Upload<'_>,
        build: BuildId,
        answer: &BuildCreated,
        output: &Output,
    ) -> Result<Followed, PushError> {
        let expected = answer.current.map(|current| current.epoch);
        let error = match self.try_publish(build, expected, output).await {
            Err(error) if error.code() == Some("missing_blobs") => {
                let answer = self.create_build(upload.build.clone(), output).await?;
                let build = upload_missing(upload, &answer, output).await?;
                match self.try_publish(build, expected, output).await {
                    Ok(followed) => return Ok(followed),
                    Err(error) => error,
                }
            }
            Ok(followed) => return Ok(followed),
            Err(error) => error,
        };
        Err(PushError::Follow(FollowError::of(error, self.client, self.site, self.channel).await))
    }

    async fn try_publish(
        &self,
        build: BuildId,
        expected: Option<Seq>,
        output: &Output,
    ) -> Result<Followed, ClientError> {
        let provenance = self.provenance.clone();
        let publish = CreateRelease { build, channel: self.channel.clone(), expected, provenance };
        // Anything but a connection that never came about may have moved the channel already.
        let nothing_was_sent = |error: &ClientError| matches!(error, ClientError::Unreachable { .. });
        let call = async || self.client.publish(self.site, &publish).await;
        let events = self.patience.retry(output, nothing_was_sent, call).await?;
        follow(events, self.wait, output).await
    }
}

async fn upload_missing(upload: &Upload<'_>, answer: &BuildCreated, output: &Output) -> Result<BuildId, UploadError> {
    if answer.missing.is_empty() {
        output.done("uploaded nothing: the origin has every file");
        return Ok(answer.build.clone());
    }
    let bytes = upload.sources.bytes(&answer.missing);
    let step = output.step("uploading", Unit::Bytes, bytes);
    let build = upload.run(answer, &step).await?;
    let sent = human::bytes(upload.sent.load(Ordering::Relaxed));
    step.finish(format_args!("uploaded {} ({sent} on the wire)", human::bytes(bytes)));
    Ok(build)
}

fn pack(build: &Build) -> Bytes {
    compression::compress(&serde_json::to_vec(build).expect("paths are text and nothing else can fail")).into()
}

fn say_skipped(listing: &Listing, output: &Output) {
    for reason in Reason::ALL {
        let skipped: Vec<&str> =
            listing.skipped.iter().filter(|skipped| skipped.reason == reason).map(|skipped| &*skipped.path).collect();
        if skipped.is_empty() {
            continue;
        }
        let what = match reason {
            Reason::Hidden => "hidden",
            Reason::Debris => "no part of a site",
            Reason::Ignored => "named in .assetsignore",
        };
        let more = skipped.len().saturating_sub(NAMED);
        let named = skipped[..skipped.len().min(NAMED)].join(", ");
        let named = if more > 0 { format!("{named} and {more} more") } else { named };
        output.say(format_args!("  left out, {what}: {named}"));
    }
}

/// Runs what blocks where it is in nobody's way.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.expect("the work neither panics nor is cancelled")
}
