//! Hosts that serve exactly one release, whatever the channels of its site point at: `<16 hex digits>--<site>`.
//!
//! Of a release that no channel points at, an edge keeps its row of the feed and nothing else. Its manifest is loaded when a reader
//! requests its host, from disk or else from an origin, and its blobs as they are requested. Only releases with a row are loaded, one
//! load for each however many requests wait, a few at once; so a stranger cannot make the edge fetch or keep more than that.

mod known_releases;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use moka::sync::Cache;
use tokio::sync::Semaphore;
use verge_daemon::saved_state::Loaded;
use verge_daemon::{Tasks, error_chain};
use verge_protocol::host::{HostLabel, ReleaseLabel};
use verge_protocol::{ChannelName, Digest, ReleaseNumber, SiteName};

pub(crate) use self::known_releases::ReleaseRecord;
use self::known_releases::{KnownRelease, KnownReleases};
use crate::cache::{Completer, RecentFailures, SingleFlight, Unavailable};
use crate::erased_contents::ErasedContents;
use crate::metrics::Metrics;
use crate::store::{BlockingStore, Store};
use crate::table::{Channel, InheritedReleases, Resources};
use crate::upstream::Upstream;

/// Bytes of loaded manifests that are kept in memory, as estimated.
const MEMORY_BYTES: u64 = 64 << 20;

/// Estimated memory of one file of a manifest, in bytes.
const FILE_BYTES: u32 = 1024;

/// Estimated memory of a part of a rule, such as a segment of its path, in bytes.
const RULE_PART_BYTES: u32 = 256;

/// Estimated memory of a text or placeholder of a target, in bytes: it is kept three times.
const PIECE_BYTES: u32 = 128;

/// How many times the text of rules is kept, about: as written, encoded and decoded.
const COPIES_OF_TEXT: u32 = 8;

/// Concurrent loads: a manifest may be large, and is held in memory as a whole.
const MAX_CONCURRENT: usize = 2;

/// The releases that have rows in the feed. Clones share them.
///
/// They are saved in a file of their own, which is written when they change and not with every move of a channel: there may be very many.
///
/// Unlike the table they are not one immutable value: a lock is held for one look-up, and only by requests for hosts of this kind.
#[derive(Clone, Default)]
pub(crate) struct Releases(Arc<SharedReleases>);

#[derive(Default)]
struct SharedReleases {
    known: RwLock<KnownReleases>,
    /// The version that is on disk.
    saved: AtomicU64,
}

impl Releases {
    /// Applies a row of the feed.
    pub(crate) fn apply(&self, site: SiteName, number: ReleaseNumber, manifest: Option<Digest>) {
        match manifest {
            Some(manifest) => self.write().add(site, number, manifest),
            None => self.write().remove(&site, number),
        }
    }

    /// Removes every release whose key is not one of `keys`.
    pub(crate) fn retain(&self, keys: &BTreeSet<&str>) {
        self.write().retain(keys);
    }

    /// The keys of all releases.
    pub(crate) fn keys(&self) -> Vec<String> {
        self.read().keys()
    }

    /// Adds releases that an earlier process has saved.
    pub(crate) fn restore(&self, saved: Loaded<ReleaseRecord>) {
        let mut releases = self.write();
        let is_saved = saved.is_complete && releases.version == 0;
        for record in saved.records {
            releases.restore(record);
        }
        // Unless it is damaged, or more were added before, the file holds them all.
        if is_saved {
            self.0.saved.store(releases.version, Ordering::Relaxed);
        }
    }

    /// All releases, if they have changed since they were last saved, and the version to pass to [`Self::set_saved`].
    pub(crate) fn to_save(&self) -> Option<(u64, Vec<ReleaseRecord>)> {
        let releases = self.read();
        (releases.version != self.0.saved.load(Ordering::Relaxed)).then(|| (releases.version, releases.records()))
    }

    /// Records that a version of the releases is on disk.
    pub(crate) fn set_saved(&self, version: u64) {
        self.0.saved.store(version, Ordering::Relaxed);
    }

    fn find(&self, label: &ReleaseLabel) -> Option<KnownRelease> {
        self.read().find(label)
    }

    fn read(&self) -> RwLockReadGuard<'_, KnownReleases> {
        self.0.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, KnownReleases> {
        self.0.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The hosts of releases. Clones share them.
#[derive(Clone)]
pub(crate) struct ReleaseHosts(Arc<Shared>);

struct Shared {
    releases: Releases,
    erased: ErasedContents,
    loaded: Cache<LoadedKey, Arc<Resources>>,
    in_flight: SingleFlight<LoadedKey, Fetched>,
    failures: RecentFailures,
    permits: Semaphore,
    store: Store,
    upstream: Upstream,
    metrics: Metrics,
}

/// A manifest, and the version of the erased contents: with every erasure, which is rare, all are loaded again.
type LoadedKey = (Digest, u64);

type Fetched = Result<Arc<Resources>, Unavailable>;

/// What a host of a release answers with.
pub(crate) enum ReleaseHost {
    /// There is no such release.
    Unknown,
    /// The release, served as a channel that inherits nothing.
    Loaded(Channel),
    /// Its manifest must be loaded first.
    Unloaded(Unloaded),
}

/// A release whose manifest is not in memory.
pub(crate) struct Unloaded {
    hosts: ReleaseHosts,
    site: SiteName,
    release: KnownRelease,
    key: LoadedKey,
}

impl ReleaseHosts {
    pub(crate) fn new(
        releases: Releases,
        erased: ErasedContents,
        store: Store,
        upstream: Upstream,
        metrics: Metrics,
        tasks: Tasks,
    ) -> Self {
        let weigh = |_: &LoadedKey, resources: &Arc<Resources>| memory_of(resources);
        Self(Arc::new(Shared {
            releases,
            erased,
            loaded: Cache::builder().max_capacity(MEMORY_BYTES).weigher(weigh).build(),
            in_flight: SingleFlight::new("release manifest", tasks),
            failures: RecentFailures::default(),
            permits: Semaphore::new(MAX_CONCURRENT),
            store,
            upstream,
            metrics,
        }))
    }

    /// What the host with this label, in lowercase, answers with. Never waits.
    pub(crate) fn find(&self, label: &str) -> ReleaseHost {
        let Ok(label) = label.parse::<ReleaseLabel>() else { return ReleaseHost::Unknown };
        let Some(release) = self.0.releases.find(&label) else { return ReleaseHost::Unknown };
        let key = (release.manifest, self.0.erased.version());
        match self.0.loaded.get(&key) {
            Some(resources) => ReleaseHost::Loaded(self.channel(label.site, release.number, resources)),
            None => ReleaseHost::Unloaded(Unloaded { hosts: self.clone(), site: label.site, release, key }),
        }
    }

    /// The site of the release that the host with this label serves, if there is one.
    pub(crate) fn site(&self, label: &str) -> Option<SiteName> {
        let label: ReleaseLabel = label.parse().ok()?;
        self.0.releases.find(&label).map(|_| label.site)
    }

    fn channel(&self, site: SiteName, number: ReleaseNumber, resources: Arc<Resources>) -> Channel {
        let traffic = self.0.metrics.site(&site);
        Channel::new(
            HostLabel { site, channel: ChannelName::live() },
            number,
            resources,
            InheritedReleases::default(),
            traffic,
        )
    }
}

/// The estimated memory of a manifest, in bytes.
fn memory_of(resources: &Resources) -> u32 {
    let bytes = |count: usize, each: u32| u32::try_from(count).unwrap_or(u32::MAX).saturating_mul(each);
    let rules = resources.rules();
    bytes(resources.len() + 1, FILE_BYTES)
        .saturating_add(bytes(rules.parts(), RULE_PART_BYTES))
        .saturating_add(bytes(rules.pieces(), PIECE_BYTES))
        .saturating_add(bytes(rules.bytes(), COPIES_OF_TEXT))
}

impl Unloaded {
    /// Loads the manifest. Cancel-safe: the load continues for other requests, and for the next.
    pub(crate) async fn load(self) -> Result<Channel, Unavailable> {
        let Self { hosts, site, release, key } = self;
        let shared = Arc::clone(&hosts.0);
        let start = move |completer| async move { shared.load(key, completer).await };
        // `None`: the load was aborted at the shutdown deadline.
        let loaded = hosts.0.in_flight.join(key, start).await.unwrap_or(Err(Unavailable::Unreachable));
        Ok(hosts.channel(site, release.number, loaded?))
    }
}

impl Shared {
    async fn load(&self, key: LoadedKey, completer: Completer<Fetched>) {
        // An earlier load may have completed after the caller looked and before this one started.
        if let Some(resources) = self.loaded.get(&key) {
            return completer.complete(Ok(resources));
        }
        let _permit = self.permits.acquire().await.expect("the semaphore is never closed");
        let (id, _) = key;
        let loaded = match self.load_from_disk(id).await {
            Some(resources) => Ok(resources),
            None => self.fetch(id).await,
        };
        let loaded = loaded.map(|resources| self.erased.without_erased(resources));

        if let Ok(resources) = &loaded {
            self.loaded.insert(key, Arc::clone(resources));
        }
        completer.complete(loaded);
    }

    async fn load_from_disk(&self, id: Digest) -> Option<Arc<Resources>> {
        let read = move |store: &BlockingStore| Some(Arc::new(Resources::new(id, store.manifest(id)?)));
        self.store.run_blocking(read).await?
    }

    async fn fetch(&self, id: Digest) -> Fetched {
        if let Some(unavailable) = self.failures.get(&id) {
            return Err(unavailable);
        }
        match self.upstream.manifest(id).await {
            Ok((bytes, manifest)) => {
                // Not pinned: the disk keeps it as it keeps blobs that no channel needs.
                let stored = self.store.run_blocking(move |store| {
                    if let Err(error) = store.put_manifest(id, &bytes) {
                        tracing::debug!(manifest = %id, %error, "failed to write a manifest to disk");
                    }
                    Arc::new(Resources::new(id, manifest))
                });
                stored.await.ok_or(Unavailable::Unreachable)
            }
            Err(error) => {
                tracing::error!(manifest = %id, error = %error_chain(&error), "failed to fetch the manifest of a release");
                let unavailable = if error.is_unreachable() { Unavailable::Unreachable } else { Unavailable::Refused };
                self.failures.record(id, unavailable);
                Err(unavailable)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::Lifetime;

    use super::*;
    use crate::test_support::{manifest, resources};

    #[test]
    fn rules_of_a_manifest_count_as_its_memory() {
        let mut with_rules = manifest(&["index.html"], "", Lifetime::Revalidate);
        let plain = memory_of(&resources(with_rules.clone()));
        let rule = r#"{"from":"/a/b/c","to":"/t","status":301}"#;
        with_rules.rules =
            serde_json::from_str(&format!(r#"{{"redirects":[{}]}}"#, vec![rule; 1000].join(","))).unwrap();
        assert_eq!(
            memory_of(&resources(with_rules)),
            plain + 4000 * RULE_PART_BYTES + 1000 * PIECE_BYTES + 8000 * COPIES_OF_TEXT
        );
    }
}
