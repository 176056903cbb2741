//! Packs under way, so that "what is missing?" is not asked in vain.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use verge_protocol::{BuildId, SiteName};

/// How long an answer waits for packs under way.
const PATIENCE: Duration = Duration::from_secs(5);

type Build = (SiteName, BuildId);

/// How many packs of each build are being taken.
#[derive(Clone, Default)]
pub(crate) struct Uploads {
    packs: Arc<Mutex<HashMap<Build, watch::Sender<usize>>>>,
}

/// A pack that is being taken, until this is dropped.
pub(crate) struct Pack {
    uploads: Uploads,
    build: Build,
}

impl Uploads {
    /// Says that a pack is being taken.
    pub(crate) fn start(&self, site: &SiteName, id: &BuildId) -> Pack {
        let build = (site.clone(), id.clone());
        let mut packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
        packs.entry(build.clone()).or_default().send_modify(|count| *count += 1);
        Pack { uploads: self.clone(), build }
    }

    /// Waits until no pack of the build is being taken, but not for long.
    ///
    /// A client whose line was cut asks at once what is missing, while what it sent is still being made safe. Without the wait
    /// it would be told to send that again.
    pub(crate) async fn settled(&self, site: &SiteName, id: &BuildId) {
        let under_way = {
            let packs = self.packs.lock().unwrap_or_else(PoisonError::into_inner);
            packs.get(&(site.clone(), id.clone())).map(watch::Sender::subscribe)
        };
        if let Some(mut under_way) = under_way {
            let _ = tokio::time::timeout(PATIENCE, under_way.wait_for(|count| *count == 0)).await;
        }
    }
}

impl Drop for Pack {
    fn drop(&mut self) {
        let mut packs = self.uploads.packs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = packs.get(&self.build) {
            count.send_modify(|count| *count -= 1);
            let last = *count.borrow() == 0;
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
        let (one, two) = (uploads.start(&site, &id), uploads.start(&site, &id));
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
