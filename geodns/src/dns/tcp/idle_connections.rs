//! Connections on which nothing is in progress. The one that has been idle longest makes room for a new one.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

/// The idle connections of all listeners. Clones share them.
#[derive(Clone, Default)]
pub(super) struct IdleConnections(Arc<Shared>);

#[derive(Default)]
struct Shared {
    queue: Mutex<Queue>,
    added: Notify,
}

#[derive(Default)]
struct Queue {
    next_number: u64,
    /// The token that ends each connection, in the order in which they became idle.
    ends: BTreeMap<u64, CancellationToken>,
}

/// Keeps a connection among the idle ones until it is dropped.
pub(super) struct IdleConnection {
    connections: IdleConnections,
    number: u64,
}

impl IdleConnections {
    /// Adds a connection that ends when `end` is cancelled.
    pub(super) fn add(&self, end: CancellationToken) -> IdleConnection {
        let mut queue = self.queue();
        let number = queue.next_number;
        queue.next_number += 1;
        queue.ends.insert(number, end);
        self.0.added.notify_one();
        IdleConnection { connections: self.clone(), number }
    }

    /// Ends the connection that has been idle longest; if none is idle, the next that becomes so. A query that arrives before the
    /// connection has ended is still answered.
    pub(super) async fn evict_oldest(&self) {
        loop {
            let oldest = self.queue().ends.pop_first();
            if let Some((_, end)) = oldest {
                return end.cancel();
            }
            self.0.added.notified().await;
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for IdleConnection {
    fn drop(&mut self) {
        self.connections.queue().ends.remove(&self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn evict_oldest_ends_the_connection_idle_longest() {
        let idle_connections = IdleConnections::default();
        let ends = [(); 4].map(|()| CancellationToken::new());
        let ended = || ends.clone().map(|end| end.is_cancelled());
        let add = |index: usize| idle_connections.add(ends[index].clone());
        let (first, second, third) = (add(0), add(1), add(2));
        // The first is busy and then idle again; the third has been closed.
        drop(first);
        let first = add(0);
        drop(third);
        for expected in [[false, true, false, false], [true, true, false, false]] {
            idle_connections.evict_oldest().await;
            assert_eq!(ended(), expected);
        }
        // None is left: the next that becomes idle is ended.
        let mut evicted = std::pin::pin!(idle_connections.evict_oldest());
        assert_eq!(evicted.as_mut().now_or_never(), None);
        let fourth = add(3);
        evicted.await;
        assert_eq!(ended(), [true, true, false, true]);
        drop((first, second, fourth));
        assert!(idle_connections.queue().ends.is_empty());
    }
}
