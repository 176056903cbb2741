//! Collection: releases that are not kept any longer are deleted, then blobs that nothing needs.
//!
//! [`retention`] decides which releases are kept. What those that remain need is marked ([`marks`]): the blobs of their files, of encodings and of
//! manifests, and those of builds that were used within a day. Sites give up what is not marked, durably; then blobs that nothing needs are
//! removed from the store.
//!
//! Pushes continue meanwhile. A build is recorded under [`Blobs::prevent_removals`], and a release made under
//! [`ChannelLocks::lock_fingerprints`]. Every step here that deletes something holds both locks, and marks first what is new.

mod marks;
mod retention;
#[cfg(test)]
mod tests;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedMutexGuard, OwnedRwLockWriteGuard};
use tokio_util::sync::CancellationToken;
use verge_daemon::{Tasks, error_chain};
use verge_protocol::api::{Collected, EndedRelease};
use verge_protocol::{Digest, Manifest, ReleaseNumber, SiteName, Timestamp, compression};

use self::marks::{BuildFiles, Marks};
pub use self::retention::Retention;
use crate::channel_locks::ChannelLocks;
use crate::expiry_clock::ExpiryClock;
use crate::feed::Feed;
use crate::publish::{Contents, PublishError};
use crate::store::{Blobs, BuildRow, Database, PastRelease, StoreError};
use crate::uploads::ActivePacks;

/// How long a build that is not used can still be released.
const BUILD_KEPT_FOR: Duration = Duration::from_hours(24);

/// One transaction, for which other writes wait, deletes so many releases, or gives up so many blobs, at most.
const BATCH: usize = 1000;

/// How long a client waits for a collection at most.
const WAIT_MAX: Duration = Duration::from_secs(20);

/// The largest description of a build, decompressed, in bytes.
const BUILD_BYTES_MAX: usize = 192 << 20;

/// Collects what is not needed.
pub(crate) struct Collector {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) contents: Contents,
    pub(crate) feed: Feed,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) active_packs: ActivePacks,
    pub(crate) expiry_clock: ExpiryClock,
    pub(crate) retention: Retention,
    pub(crate) tasks: Tasks,
    /// Held by the collection in progress.
    pub(crate) running: tokio::sync::Mutex<()>,
}

/// Why nothing, or not all, was collected.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CollectionError {
    #[error("the origin has just started: edges have not reported their clocks yet")]
    TooEarly,
    #[error("site `{site}` has no release {release}")]
    UnknownRelease { site: SiteName, release: ReleaseNumber },
    #[error("release {release} of `{site}` is in use: {reason}")]
    InUse { site: SiteName, release: ReleaseNumber, reason: String },
    /// What a release needs is not known, so nothing is removed.
    #[error("failed to read a manifest")]
    Manifest(#[from] PublishError),
    #[error("failed to read the description of build {id} of `{site}`: {reason}")]
    Build { site: SiteName, id: String, reason: String },
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("a task failed")]
    Panicked(#[from] tokio::task::JoinError),
    #[error("the origin is shutting down")]
    ShuttingDown,
}

/// Nothing is pushed or removed otherwise while it is held.
struct Locks {
    _releases: OwnedMutexGuard<()>,
    _blobs: OwnedRwLockWriteGuard<()>,
}

impl Collector {
    /// Collects each `interval`, until `draining` is cancelled.
    pub(crate) async fn collect_periodically(self: Arc<Self>, interval: Duration, draining: CancellationToken) {
        // Not dropped while it removes blobs: a removal that has begun ends after the locks are free then.
        while draining.run_until_cancelled(tokio::time::sleep(interval)).await.is_some() {
            match self.collect().await {
                Ok(_) | Err(CollectionError::TooEarly | CollectionError::ShuttingDown) => {}
                Err(error) => {
                    tracing::error!(error = error_chain(&error), "failed to collect what is not needed any more");
                }
            }
        }
    }

    /// What a collection would delete now. Encodings are not counted.
    pub(crate) async fn plan(&self) -> Result<Collected, CollectionError> {
        let _only = self.running.lock().await;
        let now = self.now()?;
        let mut planned = Collected::default();
        let mut ended = HashSet::new();
        for site in self.database.site_names().await? {
            let history = self.database.site_history(&site).await?;
            let numbers = retention::ended(&history, self.retention, now);
            let is_ended = |number: &ReleaseNumber| numbers.binary_search(number).is_ok();
            let (of_ended, kept): (Vec<&PastRelease>, Vec<&PastRelease>) =
                history.releases.iter().partition(|release| is_ended(&release.number));
            let kept: HashSet<Digest> = kept.iter().map(|release| release.manifest).collect();
            ended.extend(of_ended.iter().map(|release| release.manifest).filter(|id| !kept.contains(id)));
            planned.releases.extend(numbers.into_iter().map(|release| EndedRelease { site: site.clone(), release }));
        }
        let mut marks = Marks::default();
        let is_idle = |build: &BuildRow| self.is_idle(build, now);
        planned.builds = self.mark(&mut marks, &ended, is_idle).await?;
        let mut unneeded = HashSet::new();
        for site in self.database.site_names().await? {
            for (blob, size) in self.database.blobs_of(&site).await? {
                if !marks.any_needs_blob(&blob) && unneeded.insert(blob) {
                    planned.bytes += size;
                }
            }
        }
        planned.blobs = unneeded.len() as u64;
        Ok(planned)
    }

    /// Deletes what is not kept, then what nothing needs. One that fails, or is cut off, is continued by the next.
    pub(crate) async fn collect(&self) -> Result<Collected, CollectionError> {
        let _only = self.running.lock().await;
        let now = self.now()?;
        let mut collected = Collected { builds: self.end_builds(now).await?, ..Collected::default() };
        for site in self.database.site_names().await? {
            let history = self.database.site_history(&site).await?;
            for batch in retention::ended(&history, self.retention, now).chunks(BATCH) {
                let deleted = self.delete(&site, batch, None).await?;
                collected
                    .releases
                    .extend(deleted.into_iter().map(|release| EndedRelease { site: site.clone(), release }));
            }
        }
        let mut marks = Marks::default();
        self.mark_new(&mut marks).await?;
        for site in self.database.site_names().await? {
            self.give_up_blobs(&mut marks, &site).await?;
        }
        self.forget_contents(&mut marks).await?;
        (collected.blobs, collected.bytes) = self.remove_unused(&mut marks).await?;
        if collected != Collected::default() {
            let Collected { releases, builds, blobs, bytes, .. } = &collected;
            tracing::info!(releases = releases.len(), builds, blobs, bytes, "collected what is not needed");
        }
        Ok(collected)
    }

    /// Collects. Continues when the caller is dropped, or has waited for [`WAIT_MAX`].
    pub(crate) async fn collect_detached(self: &Arc<Self>) -> Result<Collected, CollectionError> {
        let collector = Arc::clone(self);
        let collecting = self.tasks.spawn("collect", async move {
            let failed = |error: &CollectionError| {
                tracing::error!(error = error_chain(error), "failed to collect what is not needed any more");
            };
            collector.collect().await.inspect_err(failed)
        });
        match tokio::time::timeout(WAIT_MAX, collecting).await {
            Ok(collected) => collected?.unwrap_or(Err(CollectionError::ShuttingDown)),
            Err(_) => Ok(Collected { is_running: true, ..Collected::default() }),
        }
    }

    /// Deletes a release that no channel uses, whether or not it would be kept. Its blobs are removed by the next collection.
    pub(crate) async fn delete_release(
        &self,
        site: &SiteName,
        number: ReleaseNumber,
        author: Option<String>,
    ) -> Result<(), CollectionError> {
        if !self.delete(site, &[number], author).await?.is_empty() {
            return Ok(());
        }
        let release = number;
        let history = self.database.site_history(site).await?;
        let Some(found) = history.releases.iter().find(|found| found.number == number) else {
            return Err(CollectionError::UnknownRelease { site: site.clone(), release });
        };
        let channel = history.in_use.get(&found.manifest);
        let reason = channel.map_or_else(
            || "a channel was".to_owned(),
            |channel| {
                format!("channel {channel} points at its files, is about to, or serves them to tabs opened before")
            },
        );
        Err(CollectionError::InUse { site: site.clone(), release, reason })
    }

    fn now(&self) -> Result<Timestamp, CollectionError> {
        self.expiry_clock.now().ok_or(CollectionError::TooEarly)
    }

    /// To be called before each step.
    async fn lock(&self) -> Result<Locks, CollectionError> {
        if self.tasks.draining().is_cancelled() {
            return Err(CollectionError::ShuttingDown);
        }
        // In this order: whoever makes a release removes nothing, and the other way round.
        let releases = self.channel_locks.lock_fingerprints().await;
        Ok(Locks { _releases: releases, _blobs: self.blobs.lock_removals().await })
    }

    async fn delete(
        &self,
        site: &SiteName,
        numbers: &[ReleaseNumber],
        author: Option<String>,
    ) -> Result<Vec<ReleaseNumber>, StoreError> {
        let releases = self.channel_locks.lock_fingerprints().await;
        let (database, site, numbers) = (self.database.clone(), site.clone(), numbers.to_vec());
        let now = self.expiry_clock.clock.now();
        let write = async move {
            // Until the end, even if nobody waits for it any more.
            let _releases = releases;
            database.delete_releases(&site, &numbers, author.as_deref(), now).await
        };
        self.feed.write(write).await
    }

    fn is_idle(&self, build: &BuildRow, now: Timestamp) -> bool {
        build.used.after(BUILD_KEPT_FOR) <= now && !self.active_packs.has(&build.site, &build.id)
    }

    /// Forgets builds that were not used for a day. Returns how many.
    async fn end_builds(&self, now: Timestamp) -> Result<u64, CollectionError> {
        let mut ended = 0;
        for idle in self.database.builds().await?.into_iter().filter(|build| self.is_idle(build, now)) {
            let _locks = self.lock().await?;
            // It may have been used meanwhile.
            if self.database.build(&idle.site, &idle.id).await? == Some(idle.used) && self.is_idle(&idle, now) {
                self.blobs.delete_build(&idle.site, &idle.id).await?;
                self.database.delete_build(&idle.site, &idle.id).await?;
                ended += 1;
            }
        }
        Ok(ended)
    }

    async fn mark_new(&self, marks: &mut Marks) -> Result<(), CollectionError> {
        self.mark(marks, &HashSet::new(), |_| false).await.map(drop)
    }

    /// Marks what manifests and builds need that are not marked yet, but for the manifests `ended` and builds that are `idle`. Returns how many
    /// builds are.
    async fn mark(
        &self,
        marks: &mut Marks,
        ended: &HashSet<Digest>,
        is_idle: impl Fn(&BuildRow) -> bool,
    ) -> Result<u64, CollectionError> {
        for id in self.database.needed_manifests().await? {
            if marks.has_manifest(&id) || ended.contains(&id) {
                continue;
            }
            let bytes = self.contents.manifest(id).await?;
            // Large manifests take a while to verify.
            let manifest = tokio::task::spawn_blocking(move || Manifest::verify(id, &bytes)).await?;
            marks.add_manifest(id, manifest.map_err(PublishError::Manifest)?);
        }
        let mut idle = 0;
        for build in self.database.builds().await? {
            if is_idle(&build) {
                idle += 1;
            } else if !marks.has_build(&build.site, &build.id) {
                // Without its description it cannot be released.
                if let Some(files) = self.build_files(&build).await? {
                    marks.add_build(build.site, build.id, files);
                }
            }
        }
        Ok(idle)
    }

    async fn build_files(&self, BuildRow { site, id, .. }: &BuildRow) -> Result<Option<BuildFiles>, CollectionError> {
        let Some(body) = self.blobs.get_build(site, id).await? else { return Ok(None) };
        let read = move || {
            let plain = compression::decompress(&body, BUILD_BYTES_MAX).map_err(|error| error.to_string())?;
            serde_json::from_slice(&plain).map_err(|error| error.to_string())
        };
        let files = tokio::task::spawn_blocking(read).await?;
        files.map(Some).map_err(|reason| CollectionError::Build { site: site.clone(), id: id.to_string(), reason })
    }

    /// Has a site give up the blobs that nothing of it needs.
    async fn give_up_blobs(&self, marks: &mut Marks, site: &SiteName) -> Result<(), CollectionError> {
        let held = self.database.blobs_of(site).await?.into_keys();
        let unneeded: Vec<Digest> = held.filter(|blob| !marks.needs_blob(site, blob)).collect();
        for batch in unneeded.chunks(BATCH) {
            let _locks = self.lock().await?;
            self.mark_new(marks).await?;
            let batch: Vec<Digest> = batch.iter().copied().filter(|blob| !marks.needs_blob(site, blob)).collect();
            self.database.give_up_blobs(site, &batch).await?;
        }
        Ok(())
    }

    /// Forgets the encodings of contents that no file has.
    async fn forget_contents(&self, marks: &mut Marks) -> Result<(), CollectionError> {
        let recorded = self.database.recorded_contents().await?.into_iter();
        let unneeded: Vec<Digest> = recorded.filter(|content| !marks.needs_content(content)).collect();
        for batch in unneeded.chunks(BATCH) {
            let _locks = self.lock().await?;
            self.mark_new(marks).await?;
            let batch: Vec<Digest> = batch.iter().copied().filter(|content| !marks.needs_content(content)).collect();
            self.database.forget_contents(&batch).await?;
        }
        Ok(())
    }

    /// Removes blobs from the store that were given up and that nothing needs. Returns how many, and their bytes.
    async fn remove_unused(&self, marks: &mut Marks) -> Result<(u64, u64), CollectionError> {
        let (mut removed, mut bytes, mut after) = (0, 0, None);
        loop {
            let batch = self.database.unused_blobs(after, u32::try_from(BATCH).unwrap_or(u32::MAX)).await?;
            let Some(last) = batch.last() else { return Ok((removed, bytes)) };
            after = Some(*last);
            let _locks = self.lock().await?;
            self.mark_new(marks).await?;
            let digests: HashSet<Digest> = batch.iter().copied().collect();
            // In this order: when a pack has ended, its site holds its blobs.
            let expected = self.active_packs.expected_of(&digests);
            let mut needed = self.database.needed_blobs(&digests).await?;
            needed.extend(self.database.manifest_blobs().await?.intersection(&digests));
            // Also where the record that a site holds it is lost: the blob was damaged once, or the record is.
            needed.extend(digests.iter().filter(|blob| marks.any_needs_blob(blob)));
            let mut done: Vec<Digest> = Vec::new();
            for blob in batch.into_iter().filter(|blob| !expected.contains(blob)) {
                if !needed.contains(&blob) {
                    bytes += self.blobs.delete_sized(blob).await?;
                    removed += 1;
                }
                done.push(blob);
            }
            self.blobs.sync().await?;
            self.database.forget_unused_blobs(&done).await?;
        }
    }
}
