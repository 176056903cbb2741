//! The open feeds of each token, of which there are few.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;
use verge_protocol::Digest;

/// Feeds that a token may have open. An edge has one; but it opens another when its connection is cut, which the origin may not notice for
/// a while.
pub(super) const FEEDS_MAX: usize = 8;

/// All open feeds, by token, in the order in which they were opened. Clones share them.
#[derive(Clone, Default)]
pub(super) struct OpenFeeds(Arc<Mutex<HashMap<Digest, VecDeque<Entry>>>>);

struct Entry {
    id: Arc<()>,
    closed: CancellationToken,
}

/// A feed that is open, until dropped.
pub(super) struct OpenFeed {
    feeds: OpenFeeds,
    token: Digest,
    id: Arc<()>,
    closed: CancellationToken,
}

impl OpenFeeds {
    /// Opens a feed. If the token has too many then, its oldest one is closed: it may be that of a connection that is no more.
    pub(super) fn open(&self, subscriber: &str, token: Digest) -> OpenFeed {
        let (id, closed) = (Arc::new(()), CancellationToken::new());
        let mut feeds = self.lock();
        let of_token = feeds.entry(token).or_default();
        of_token.push_back(Entry { id: Arc::clone(&id), closed: closed.clone() });
        if of_token.len() > FEEDS_MAX
            && let Some(oldest) = of_token.pop_front()
        {
            oldest.closed.cancel();
            tracing::warn!(subscriber, "more than {FEEDS_MAX} feeds are open with one token: the oldest was closed");
        }
        OpenFeed { feeds: self.clone(), token, id, closed }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Digest, VecDeque<Entry>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OpenFeed {
    /// Cancelled when newer feeds of the token have taken its place.
    pub(super) fn closed(&self) -> &CancellationToken {
        &self.closed
    }
}

impl Drop for OpenFeed {
    fn drop(&mut self) {
        let mut feeds = self.feeds.lock();
        if let Some(of_token) = feeds.get_mut(&self.token) {
            of_token.retain(|entry| !Arc::ptr_eq(&entry.id, &self.id));
            if of_token.is_empty() {
                feeds.remove(&self.token);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn oldest_feed_of_a_token_is_closed_for_a_new_one() {
        let feeds = OpenFeeds::default();
        let open = |token: &[u8]| feeds.open("edge fra-1", Digest::of(token));
        let other = open(b"other");
        let mut opened: VecDeque<OpenFeed> = (0..FEEDS_MAX).map(|_| open(b"token")).collect();
        // One that has ended makes room.
        drop(opened.remove(3));
        opened.push_back(open(b"token"));
        assert!(opened.iter().all(|feed| !feed.closed().is_cancelled()));
        let newest = open(b"token");
        let closed: Vec<bool> = opened.iter().map(|feed| feed.closed().is_cancelled()).collect();
        assert_eq!(closed, [true, false, false, false, false, false, false, false]);
        assert!(!newest.closed().is_cancelled() && !other.closed().is_cancelled());
        drop((opened, newest, other));
        assert!(feeds.lock().is_empty());
    }
}
