//! Uploads of builds: descriptions and packs of blobs.

mod description_slots;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use verge_daemon::{Clock, Tasks};
use verge_protocol::api::Limits;
use verge_protocol::{BuildId, Digest, SiteName};

pub(crate) use self::description_slots::{DescriptionSlots, Slot};
use crate::metrics::Metrics;
use crate::store::{Blobs, Database};

/// What the upload handlers share. Clones share it.
#[derive(Clone)]
pub(crate) struct Uploads {
    pub(crate) database: Database,
    pub(crate) blobs: Blobs,
    pub(crate) clock: Clock,
    pub(crate) tasks: Tasks,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) limits: Limits,
    pub(crate) active_packs: ActivePacks,
    pub(crate) description_slots: DescriptionSlots,
}

/// The largest description of a build, compressed: 100,000 files, some of them of many blobs.
pub(crate) const DESCRIPTION_COMPRESSED_MAX: usize = 64 << 20;

/// How long [`ActivePacks::wait`] waits at most.
const WAIT_MAX: Duration = Duration::from_secs(5);

type Build = (SiteName, BuildId);

/// The blobs that a build names, with their sizes in bytes.
pub(crate) type ExpectedBlobs = HashMap<Digest, u64>;

/// The packs being received, by build. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct ActivePacks {
    builds: Arc<Mutex<HashMap<Build, BuildPacks>>>,
}

/// The packs of one build: at least one.
struct BuildPacks {
    count: watch::Sender<usize>,
    expected: Arc<ExpectedBlobs>,
    /// When one of these packs had begun, nothing that the build names was erased from the site.
    is_checked: bool,
}

/// A pack that has [begun](ActivePacks::start).
pub(crate) enum StartedPack {
    /// When it had begun, or an earlier pack of its build that had not ended then, nothing that the build names was erased from the site.
    Checked(ActivePack),
    /// It is not known whether something that the build names was erased.
    Unchecked(UncheckedPack),
}

/// A pack that may be received if nothing that its build names was erased from the site.
pub(crate) struct UncheckedPack(ActivePack);

/// A pack being received, until dropped.
pub(crate) struct ActivePack {
    packs: ActivePacks,
    build: Build,
    expected: Arc<ExpectedBlobs>,
}

impl ActivePack {
    /// The blobs that its build names.
    pub(crate) fn expected(&self) -> &ExpectedBlobs {
        &self.expected
    }
}

impl UncheckedPack {
    /// Records that nothing that the build names was erased from the site when the pack had begun.
    pub(crate) fn set_checked(self) -> ActivePack {
        let Self(pack) = self;
        let mut builds = pack.packs.builds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packs) = builds.get_mut(&pack.build) {
            packs.is_checked = true;
        }
        drop(builds);
        pack
    }
}

impl ActivePacks {
    /// The blobs that a build names, if one of its packs is being received and [was checked](UncheckedPack::set_checked): those of a large
    /// build are too many to be read again for each pack.
    pub(crate) fn expected(&self, site: &SiteName, id: &BuildId) -> Option<Arc<ExpectedBlobs>> {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        let packs = builds.get(&(site.clone(), id.clone())).filter(|packs| packs.is_checked)?;
        Some(Arc::clone(&packs.expected))
    }

    /// Whether a pack of the build is being received.
    pub(crate) fn has(&self, site: &SiteName, id: &BuildId) -> bool {
        self.builds.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&(site.clone(), id.clone()))
    }

    /// Those of `blobs` that a pack which is being received may have.
    pub(crate) fn expected_of(&self, blobs: &HashSet<Digest>) -> HashSet<Digest> {
        let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        blobs.iter().filter(|blob| builds.values().any(|packs| packs.expected.contains_key(blob))).copied().collect()
    }

    /// Registers a pack of a build that names these blobs. Call it under [`Blobs::prevent_removals`].
    pub(crate) fn start(&self, site: &SiteName, id: &BuildId, expected: Arc<ExpectedBlobs>) -> StartedPack {
        let build = (site.clone(), id.clone());
        let mut builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
        // Packs that begin at the same time have read the build each for itself: one of these maps is kept.
        let packs = builds.entry(build.clone()).or_insert_with(|| BuildPacks {
            count: watch::Sender::new(0),
            expected,
            is_checked: false,
        });
        packs.count.send_modify(|count| *count += 1);
        let pack = ActivePack { packs: self.clone(), build, expected: Arc::clone(&packs.expected) };
        if packs.is_checked { StartedPack::Checked(pack) } else { StartedPack::Unchecked(UncheckedPack(pack)) }
    }

    /// Waits until no pack of the build is being received, at most [`WAIT_MAX`].
    ///
    /// A client whose connection was cut asks at once which blobs are missing, while those that it sent are still being stored.
    /// Without the wait it would have to send them again.
    pub(crate) async fn wait(&self, site: &SiteName, id: &BuildId) {
        let count = {
            let builds = self.builds.lock().unwrap_or_else(PoisonError::into_inner);
            builds.get(&(site.clone(), id.clone())).map(|packs| packs.count.subscribe())
        };
        if let Some(mut count) = count {
            let _ = tokio::time::timeout(WAIT_MAX, count.wait_for(|count| *count == 0)).await;
        }
    }
}

impl Drop for ActivePack {
    fn drop(&mut self) {
        let mut builds = self.packs.builds.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(packs) = builds.get(&self.build) {
            packs.count.send_modify(|count| *count -= 1);
            let is_last = *packs.count.borrow() == 0;
            if is_last {
                builds.remove(&self.build);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_is_checked_if_another_one_of_its_build_was_and_has_not_ended() {
        let packs = ActivePacks::default();
        let (site, id) = ("demo".parse().unwrap(), "b1".parse().unwrap());
        let start = || packs.start(&site, &id, Arc::default());
        let (StartedPack::Unchecked(one), StartedPack::Unchecked(two)) = (start(), start()) else { panic!("checked") };
        let one = one.set_checked();
        let StartedPack::Checked(three) = start() else { panic!("not checked") };
        drop((one, two, three));
        assert!(matches!(start(), StartedPack::Unchecked(_)));
    }

    #[test]
    fn blobs_are_expected_until_the_last_pack_of_their_build_has_ended() {
        let packs = ActivePacks::default();
        let (site, id) = ("demo".parse().unwrap(), "b1".parse().unwrap());
        let blob = Digest::of(b"blob");
        let read = || Arc::new(ExpectedBlobs::from([(blob, 4)]));
        let StartedPack::Unchecked(one) = packs.start(&site, &id, read()) else { panic!("checked") };
        drop(packs.start(&site, &id, read()));
        assert_eq!(packs.expected_of(&[blob, Digest::of(b"another")].into()), [blob].into());
        assert!(packs.expected(&site, &id).is_none(), "another pack is to check it too");
        let one = one.set_checked();
        assert!(packs.expected(&site, &id).is_some());
        drop(one);
        assert_eq!(packs.expected_of(&[blob].into()), HashSet::new());
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_with_the_last_pack_or_after_a_bounded_time() {
        let packs = ActivePacks::default();
        let (site, id) = ("demo".parse().unwrap(), "b1".parse().unwrap());
        packs.wait(&site, &id).await;
        let expected = Arc::new(ExpectedBlobs::new());
        let one = packs.start(&site, &id, Arc::clone(&expected));
        let two = packs.start(&site, &id, expected);
        let start = tokio::time::Instant::now();
        packs.wait(&site, &id).await;
        assert_eq!(start.elapsed(), WAIT_MAX);
        drop(one);
        let (waiter, (site, id)) = (packs.clone(), (site.clone(), id.clone()));
        let mut waiting = Box::pin(async move { waiter.wait(&site, &id).await });
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut waiting).await.is_err());
        drop(two);
        let start = tokio::time::Instant::now();
        waiting.await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(packs.builds.lock().unwrap().is_empty());
    }
}
