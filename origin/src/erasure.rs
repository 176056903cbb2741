//! Erasing contents of a site for good, as a takedown requires.
//!
//! [`plan`] decides what is removed. Transactions of a bounded size record it: a row for each content, then a purge of the path, by which
//! edges confirm. From then on the site can neither push these bytes again nor move a channel to a release that has them. After it the
//! blobs are removed from the store ([`removal`]), unless another file of the site or another site has them.

mod error;
mod plan;
mod removal;

use tokio::sync::{mpsc, oneshot};
use verge_daemon::{Clock, Tasks};
use verge_protocol::api::{EraseRequest, EraseTarget, ErasurePlan, PurgeProgress};
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Manifest, SiteName};

pub(crate) use self::error::ErasureError;
use self::plan::{Index, Plan};
pub(crate) use self::removal::{NotRemoved, Removal};
use crate::channel_locks::ChannelLocks;
use crate::feed::Feed;
use crate::publish::{self, Contents, PublishError};
use crate::purges::{PurgeStream, Purges};
use crate::store::{Database, Erased, ErasedBlob, NewErasure, NewPurge, SiteManifests};

/// How often an erasure is planned again because the site has changed meanwhile.
const ATTEMPTS: u32 = 5;

/// The progress of an erasure: that of its purge. It fails at the end if blobs are still in the store.
pub(crate) type ErasureStream = mpsc::Receiver<Result<PurgeProgress, NotRemoved>>;

/// Erases. Clones share everything.
#[derive(Clone)]
pub(crate) struct Erasures {
    pub(crate) database: Database,
    pub(crate) contents: Contents,
    pub(crate) feed: Feed,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) purges: Purges,
    pub(crate) removal: Removal,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
}

impl Erasures {
    /// What an erasure would remove now.
    pub(crate) async fn plan(&self, site: &SiteName, target: &EraseTarget) -> Result<ErasurePlan, ErasureError> {
        let manifests = self.database.site_manifests(site).await?;
        let (_, plan) = self.plan_from(Index::default(), target, &manifests).await?;
        let erasure = NewErasure { site: site.clone(), contents: plan.to_erased() };
        let removed_bytes = plan.bytes_of(&self.database.removed_by(&erasure).await?);
        Ok(ErasurePlan {
            removed_bytes,
            kept_bytes: plan.bytes().saturating_sub(removed_bytes),
            contents: plan.contents.into_values().map(|planned| planned.content).collect(),
            in_use: plan.in_use,
        })
    }

    /// Erases, durably, and tells which edges have done it. Continues when the caller is dropped.
    pub(crate) async fn erase(&self, site: SiteName, request: EraseRequest) -> Result<ErasureStream, ErasureError> {
        let (started, stream) = oneshot::channel();
        let erasures = self.clone();
        drop(self.tasks.spawn("erase", async move {
            match erasures.record(site, request).await {
                Ok((given_up, edges)) => {
                    let (events, stream) = mpsc::channel(1);
                    // Without a client, edges and the store do it all the same.
                    let _ = started.send(Ok(stream));
                    erasures.remove(given_up, edges, events).await;
                }
                Err(error) => drop(started.send(Err(error))),
            }
        }));
        stream.await.unwrap_or(Err(ErasureError::ShuttingDown))
    }

    /// Records an erasure. Returns the blobs that the site gave up, and which edges have done it.
    async fn record(
        &self,
        site: SiteName,
        EraseRequest { target, author, message }: EraseRequest,
    ) -> Result<(Vec<ErasedBlob>, PurgeStream), ErasureError> {
        let mut index = Index::default();
        for _ in 0..ATTEMPTS {
            let manifests = self.database.site_manifests(&site).await?;
            let plan;
            (index, plan) = self.plan_from(index, &target, &manifests).await?;
            let contents = plan.to_erased();
            let scope = PurgeScope::Path(match &target {
                EraseTarget::Path(path) => path.clone(),
                // Edges confirm by a purge; what was erased is gone at its other paths too.
                EraseTarget::Release(_) => contents[0].path.clone(),
            });
            let (database, now, count) = (self.database.clone(), self.clock.now(), contents.len());
            let (author, message) = (author.clone(), message.clone());
            let purge = NewPurge { site: site.clone(), scope: scope.clone(), author, message };
            let erasure = NewErasure { site: site.clone(), contents };
            let without = scope.clone();
            let inherits = move |inherits: &[_]| publish::inherited_after_purge(inherits, &without);
            let feed = self.feed.clone();
            let write = async move {
                let announce = || feed.announce_last();
                database.erase(&erasure, &purge, &manifests, now, inherits, announce).await
            };
            let written = {
                // No release is created meanwhile, of blobs that are about to go.
                let _lock = self.channel_locks.lock_fingerprints().await;
                self.feed.write(write).await?
            };
            let Some(Erased { position, given_up }) = written else { continue };
            tracing::warn!(%site, contents = count, blobs = given_up.len(), "erased");
            let given_up = given_up.into_iter().map(|digest| ErasedBlob { site: site.clone(), digest }).collect();
            return Ok((given_up, self.purges.confirm_at(site, scope, position)));
        }
        Err(ErasureError::Busy)
    }

    /// Removes blobs from the store while edges do so. The last event comes after both.
    async fn remove(
        &self,
        given_up: Vec<ErasedBlob>,
        mut edges: PurgeStream,
        events: mpsc::Sender<Result<PurgeProgress, NotRemoved>>,
    ) {
        let forward = async {
            while let Some(event) = edges.recv().await {
                if matches!(event, PurgeProgress::Finished { .. }) {
                    return Some(event);
                }
                if events.send(Ok(event)).await.is_err() {
                    break;
                }
            }
            None
        };
        let (outcome, last) = tokio::join!(self.removal.remove(&given_up), forward);
        if let Some(last) = last {
            // The client may have disconnected.
            let _ = events.send(outcome.map(|()| last)).await;
        }
    }

    /// Plans an erasure from the manifests of a site. Reads those that the index lacks, one at a time, and returns it with them.
    async fn plan_from(
        &self,
        mut index: Index,
        target: &EraseTarget,
        site: &SiteManifests,
    ) -> Result<(Index, Plan), ErasureError> {
        // Large manifests take a while to verify, and many contents to plan.
        for id in index.missing(site) {
            let bytes = self.contents.manifest(id).await.map_err(ErasureError::Publish)?;
            let add = move || {
                index.add(id, Manifest::verify(id, &bytes).map_err(PublishError::Manifest)?);
                Ok::<_, ErasureError>(index)
            };
            index = tokio::task::spawn_blocking(add).await??;
        }
        let (target, site) = (target.clone(), site.clone());
        tokio::task::spawn_blocking(move || index.plan(&target, &site).map(|plan| (index, plan))).await?
    }
}
