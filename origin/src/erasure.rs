//! Erasing contents of a site for good, as a takedown requires.
//!
//! [`plan`] decides what is removed. One transaction records it: a row for each content, then a purge of the path, by which edges confirm.
//! From then on the site can neither push these bytes again nor move a channel to a release that has them. After it the blobs are
//! removed from the store, unless another file of the site or another site has them.

mod error;
mod plan;

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use verge_daemon::{Clock, error_chain};
use verge_protocol::api::{EraseRequest, EraseTarget, ErasurePlan};
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Digest, Manifest, SiteName};

pub(crate) use self::error::ErasureError;
use self::plan::{Plan, SiteReleases};
use crate::channel_locks::ChannelLocks;
use crate::feed::Feed;
use crate::publish::{self, Contents, PublishError};
use crate::purges::{PurgeStream, Purges};
use crate::store::{Blobs, Database, NewErased, NewErasure, NewPurge, StoreError};

/// How often an erasure is planned again because a channel was moved meanwhile.
const ATTEMPTS: u32 = 5;

/// Erases. Clones share everything.
#[derive(Clone)]
pub(crate) struct Erasures {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) contents: Contents,
    pub(crate) feed: Feed,
    pub(crate) channel_locks: ChannelLocks,
    pub(crate) purges: Purges,
    pub(crate) clock: Clock,
}

impl Erasures {
    /// What an erasure would remove now.
    pub(crate) async fn plan(&self, site: &SiteName, target: &EraseTarget) -> Result<ErasurePlan, ErasureError> {
        let plan = plan::plan(target, &self.releases(site).await?)?;
        let erasure = self.erasure(site, &plan).await?;
        let removed_bytes = plan.bytes_of(&erasure.removed());
        Ok(ErasurePlan {
            removed_bytes,
            kept_bytes: plan.bytes().saturating_sub(removed_bytes),
            contents: plan.contents.into_values().map(|planned| planned.content).collect(),
        })
    }

    /// Erases, durably, and tells which edges have done it.
    pub(crate) async fn erase(&self, site: SiteName, request: EraseRequest) -> Result<PurgeStream, ErasureError> {
        let EraseRequest { target, author, message } = request;
        // No release is created meanwhile, of blobs that are about to go.
        let _lock = self.channel_locks.lock_fingerprints().await;
        for _ in 0..ATTEMPTS {
            let releases = self.releases(&site).await?;
            let plan = plan::plan(&target, &releases)?;
            let erasure = self.erasure(&site, &plan).await?;
            let (database, now, removed) = (self.database.clone(), self.clock.now(), erasure.removed());
            let scope = PurgeScope::Path(match &target {
                EraseTarget::Path(path) => path.clone(),
                // Edges confirm by a purge; what was erased is gone at its other paths too.
                EraseTarget::Release(_) => erasure.contents[0].path.clone(),
            });
            let (author, message) = (author.clone(), message.clone());
            let purge = NewPurge { site: site.clone(), scope: scope.clone(), author, message };
            let without = scope.clone();
            let inherits = move |inherits: &[_]| publish::inherited_after_purge(inherits, &without);
            let in_use = releases.in_use;
            let write = async move { database.erase(&erasure, &purge, &in_use, now, inherits).await };
            let Some(position) = self.feed.write(write).await? else { continue };
            tracing::warn!(%site, contents = plan.contents.len(), blobs = removed.len(), "erased");
            for digest in removed {
                if let Err(error) = self.blobs.delete(digest).await {
                    tracing::error!(%digest, error = error_chain(&error), "failed to remove an erased blob: remove it by hand");
                }
            }
            return Ok(self.purges.confirm_at(site, scope, position));
        }
        Err(ErasureError::Busy)
    }

    /// The releases of a site, and what its channels serve, are about to serve, or could go back to at once.
    async fn releases(&self, site: &SiteName) -> Result<SiteReleases, ErasureError> {
        let in_use = self.database.manifests_in_use(site).await?;
        let mut releases = SiteReleases { in_use, ..SiteReleases::default() };
        for release in self.database.releases(site).await? {
            releases.releases.push((release.number, release.manifest));
        }
        releases.releases.sort();
        let ids = releases.releases.iter().map(|(_, id)| *id).chain(releases.in_use.iter().map(|(_, id)| *id));
        let mut manifests: HashMap<Digest, Manifest> = HashMap::new();
        for id in ids {
            if let Entry::Vacant(entry) = manifests.entry(id) {
                let bytes = self.contents.manifest(id).await?;
                entry.insert(Manifest::verify(id, &bytes).map_err(PublishError::from)?);
            }
        }
        releases.manifests = manifests;
        Ok(releases)
    }

    /// What is written and removed, without the blobs that other sites have.
    async fn erasure(&self, site: &SiteName, plan: &Plan) -> Result<NewErasure, StoreError> {
        let mut erasure = NewErasure { site: site.clone(), contents: Vec::new() };
        for (digest, planned) in &plan.contents {
            let own = || planned.own_blobs.keys().copied();
            let held = self.database.held_by_others(site, own()).await?;
            let mut removed: Vec<Digest> = own().filter(|blob| !held.contains(blob)).collect();
            // A site that holds all blobs of a content has it, and its encodings are those of all sites.
            let is_shared = removed.is_empty() && !held.is_empty();
            if !is_shared {
                let encoded = || planned.encoded_blobs.keys().copied();
                let held = self.database.held_by_others(site, encoded()).await?;
                removed.extend(encoded().filter(|blob| !held.contains(blob)));
            }
            let path = planned.content.paths[0].clone();
            erasure.contents.push(NewErased { digest: *digest, path, given_up: own().collect(), removed, is_shared });
        }
        Ok(erasure)
    }
}
