//! Packs under way, so that "what is missing?" is not asked in vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::watch;
use verge_protocol::{BuildId, Digest, SiteName};

/// How long an answer waits for packs under way.
const PATIENCE: Duration = Duration::from_secs(5);

type Build = (SiteName, BuildId);

/// The blobs that a build names, with their sizes.
pub(crate) type Wanted = HashMap<Digest, u64>;

/// The packs of each build that are being taken.
#[derive(Clone, Default)]
pub(crate) struct Uploads {
    packs: Arc<Mutex<HashMap<Build, Packs>>>,
}

/// The packs of one build.
#[derive(Default)]
struct Packs {
    count: watch::Sender<usize>,
    wanted: Weak<Wanted>,
}

/// A pack that is being taken, until this is dropped.
pub(crate) struct Pack {
    uploads: Uploads,
    build: Build,
    wanted: Arc<Wanted>,
}

impl Pack {
    /// The blobs that its build names.
    pub(crate) fn wanted(&self) -> &Wanted {
        &self.wanted
    }
}

impl Uploads {
    /// What the build names, as a pack that is being taken just now knows it: of a large build, too much to be read for each pack.
    pub(crate) fn wanted(&self, site: &SiteName, id: &BuildId) -> Option<Arc<Wanted>> {
        let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.get(&(site.clone(), id.clone()))?.wanted.upgrade()
    }

    /// Says that a pack is being taken.
    pub(crate) fn start(&self, site: &SiteName, id: &BuildId, wanted: Arc<Wanted>) -> Pack {
        let build = (site.clone(), id.clone());
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = packs.entry(build.clone()).or_default();
        entry.count.send_modify(|count| *count += 1);
        entry.wanted = Arc::downgrade(&wanted);
        Pack { uploads: self.clone(), build, wanted }
    }

    /// Waits until no pack of the build is being taken, but not for long.
    ///
    /// A client whose line was cut asks at once what is missing, while what it sent is still being made safe. Without the wait
    /// it would be told to send that again.
    pub(crate) async fn settled(&self, site: &SiteName, id: &BuildId) {
        let under_way = {
            let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
            packs.get(&(site.clone(), id.clone())).map(|packs| packs.count.subscribe())
        };
        if let Some(mut under_way) = under_way {
            let _ = tokio::time::timeout(PATIENCE, under_way.wait_for(|count| *count == 0)).await;
        }
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        let mut packs = self.uploads.packs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = packs.get(&self.build) {
            entry.count.send_modify(|count| *count -= 1);
            let last = *entry.count.borrow() == 0;
            if last {
                packs.remove(&self.build);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_answer_waits_for_packs_but_not_for_ever() {
        let uploads = Uploads::default();
        let (site, id) = ("demo".parse().unwrap(), "b1".parse().unwrap());
        uploads.settled(&site, &id).await;
        let wanted = Arc::new(Wanted::new());
        let one = uploads.start(&site, &id, Arc::clone(&wanted));
        let two = uploads.start(&site, &id, uploads.wanted(&site, &id).unwrap());
        let start = tokio::time::Instant::now();
        uploads.settled(&site, &id).await;
        assert_eq!(start.elapsed(), PATIENCE);
        drop(one);
        let (waiter, (site, id)) = (uploads.clone(), (site.clone(), id.clone()));
        let mut settled = Box::pin(async move { waiter.settled(&site, &id).await });
        assert!(tokio::time::timeout(Duration::from_secs(1), &mut settled).await.is_err());
        drop(two);
        let start = tokio::time::Instant::now();
        settled.await;
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert!(uploads.packs.lock().unwrap().is_empty());
    }
}
