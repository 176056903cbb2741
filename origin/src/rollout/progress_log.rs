//! The progress of one rollout, for any number of clients, each of which gets it from its beginning.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;
use verge_protocol::api::Progress;

use crate::publish::PublishError;

/// The progress as it happens. An error is the last item.
pub(crate) type ProgressStream = mpsc::Receiver<Result<Progress, Arc<PublishError>>>;

/// How many events a client may be behind, beside one for each that is kept. One that is further behind is cut off; it may ask again.
const BEHIND_MAX: usize = 1024;

/// Events so far, and the clients that follow. Clones share them. When the last clone is dropped, the streams of all clients end.
#[derive(Clone, Default)]
pub(crate) struct ProgressLog(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    /// All but the news that later news replaces.
    kept: Vec<Result<Progress, Arc<PublishError>>>,
    followers: Vec<mpsc::Sender<Result<Progress, Arc<PublishError>>>>,
    /// Nothing follows: the last event was an error, or the streams were cut.
    has_ended: bool,
}

impl ProgressLog {
    /// Tells all clients, those that come later too.
    pub(crate) fn push(&self, event: Result<Progress, PublishError>) {
        let event = event.map_err(Arc::new);
        let mut log = self.lock();
        let is_transient =
            matches!(event, Ok(Progress::Encoding { .. } | Progress::Fetching { .. } | Progress::Canary { .. }));
        log.followers.retain(|follower| match follower.try_send(event.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => is_transient,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
        log.has_ended |= event.is_err();
        if log.has_ended {
            log.followers.clear();
        }
        if !is_transient {
            log.kept.push(event);
        }
    }

    /// Ends the streams of all clients, although nothing definite is known.
    pub(crate) fn cut(&self) {
        let mut log = self.lock();
        log.has_ended = true;
        log.followers.clear();
    }

    /// All events so far, and those to come.
    pub(crate) fn follow(&self) -> ProgressStream {
        let mut log = self.lock();
        let (sender, receiver) = mpsc::channel(log.kept.len() + BEHIND_MAX);
        for event in &log.kept {
            sender.try_send(event.clone()).expect("the channel has room for the events that are kept");
        }
        if !log.has_ended {
            log.followers.push(sender);
        }
        receiver
    }

    /// Whether there is a client that still follows.
    pub(crate) fn is_followed(&self) -> bool {
        self.lock().followers.iter().any(|follower| !follower.is_closed())
    }

    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use verge_protocol::ReleaseNumber;

    use super::*;

    fn encoding(done: u64) -> Progress {
        Progress::Encoding { done, total: 9000 }
    }

    fn preparing() -> Progress {
        Progress::Preparing { release: ReleaseNumber(1), edges: vec![] }
    }

    #[tokio::test]
    async fn a_client_that_comes_later_gets_what_has_not_been_replaced() {
        let log = ProgressLog::default();
        let mut early = log.follow();
        log.push(Ok(encoding(1)));
        log.push(Ok(preparing()));
        let mut late = log.follow();
        log.push(Ok(encoding(2)));
        drop(log);
        let events = async |stream: &mut ProgressStream| {
            let mut events = Vec::new();
            while let Some(event) = stream.recv().await {
                events.push(event.unwrap());
            }
            events
        };
        assert_eq!(events(&mut early).await, [encoding(1), preparing(), encoding(2)]);
        assert_eq!(events(&mut late).await, [preparing(), encoding(2)]);
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_misses_what_is_replaced_and_is_cut_off_before_it_misses_more() {
        let log = ProgressLog::default();
        let mut slow = log.follow();
        for done in 0..5000 {
            log.push(Ok(encoding(done)));
        }
        log.push(Ok(preparing()));
        let mut received = 0;
        while let Some(event) = slow.recv().await {
            assert!(event.is_ok_and(|event| event != preparing()));
            received += 1;
        }
        assert_eq!(received, BEHIND_MAX);
    }
}
