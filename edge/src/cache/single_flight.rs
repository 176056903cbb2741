//! Single flight: concurrent requests for one key share one fetch.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use verge_daemon::Tasks;

type InFlight<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

/// The fetches in flight, by key.
pub(crate) struct SingleFlight<K, V> {
    task_name: &'static str,
    tasks: Tasks,
    in_flight: InFlight<K, V>,
}

/// Publishes the result of a fetch, once.
pub(crate) struct Completer<V>(watch::Sender<Option<V>>);

impl<V> Completer<V> {
    /// Hands `value` to every caller that waits, and to those that join before the fetch's task ends.
    pub(crate) fn complete(self, value: V) {
        self.0.send_replace(Some(value));
    }
}

impl<K, V> SingleFlight<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// Fetches run as tasks named `task_name`.
    pub(crate) fn new(task_name: &'static str, tasks: Tasks) -> Self {
        Self { task_name, tasks, in_flight: InFlight::default() }
    }

    /// Whether a fetch of `key` is in flight.
    pub(crate) fn has(&self, key: &K) -> bool {
        lock(&self.in_flight).contains_key(key)
    }

    /// Waits for the fetch of `key`; starts it if none is in flight. `None` if it ended without a result: it panicked or was
    /// aborted.
    ///
    /// Cancel-safe: the fetch is a task of its own and continues without callers.
    pub(crate) async fn join<F, Fut>(&self, key: K, start: F) -> Option<V>
    where
        F: FnOnce(Completer<V>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut result = self.subscribe_or_start(key, start);
        // The sender is dropped once it has completed; the value stays.
        let value = result.wait_for(Option::is_some).await.ok()?;
        value.clone()
    }

    fn subscribe_or_start<F, Fut>(&self, key: K, start: F) -> watch::Receiver<Option<V>>
    where
        F: FnOnce(Completer<V>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut in_flight = lock(&self.in_flight);
        if let Some(result) = in_flight.get(&key) {
            return result.clone();
        }
        let (sender, receiver) = watch::channel(None);
        in_flight.insert(key.clone(), receiver.clone());
        let guard = RemoveOnDrop { in_flight: Arc::clone(&self.in_flight), key };
        let fetch = start(Completer(sender));
        drop(self.tasks.spawn(self.task_name, async move {
            let _guard = guard;
            fetch.await;
        }));
        receiver
    }
}

/// Removes a fetch from the map when it ends, even by a panic.
struct RemoveOnDrop<K: Eq + Hash, V> {
    in_flight: InFlight<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for RemoveOnDrop<K, V> {
    fn drop(&mut self) {
        lock(&self.in_flight).remove(&self.key);
    }
}

fn lock<K, V>(in_flight: &InFlight<K, V>) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
    in_flight.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn fetch_whose_first_caller_is_cancelled_completes_for_a_thousand_others() {
        let tasks = Tasks::default();
        let single_flight = Arc::new(SingleFlight::<u8, usize>::new("fetch", tasks.clone()));
        let started = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let join = |single_flight: Arc<SingleFlight<u8, usize>>| {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            async move {
                let fetch = |completer: Completer<usize>| async move {
                    let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.notified().await;
                    completer.complete(number);
                };
                single_flight.join(7, fetch).await
            }
        };
        let first = tasks.spawn("reader", join(Arc::clone(&single_flight)));
        while started.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        // All join before the gate opens: the branches are polled in order.
        let others = futures_util::future::join_all((0..1000).map(|_| join(Arc::clone(&single_flight))));
        let (others, ()) = tokio::join!(biased; others, async { gate.notify_one() });
        assert!(others.iter().all(|result| *result == Some(1)));
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
        assert!(lock(&single_flight.in_flight).is_empty());
    }

    #[tokio::test]
    async fn fetch_that_panics_releases_its_callers_and_its_key() {
        let single_flight = SingleFlight::<u8, u8>::new("fetch", Tasks::default());
        assert_eq!(single_flight.join(1, |_completer| async { panic!("fetch failed") }).await, None);
        while lock(&single_flight.in_flight).contains_key(&1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(single_flight.join(1, |completer| async { completer.complete(2) }).await, Some(2));
    }

    #[tokio::test]
    async fn caller_that_joins_after_completion_and_before_the_task_ends_gets_the_result() {
        let single_flight = SingleFlight::<u8, u8>::new("fetch", Tasks::default());
        let done = Arc::new(Notify::new());
        let end = Arc::clone(&done);
        let fetch = |completer: Completer<u8>| async move {
            completer.complete(1);
            end.notified().await;
        };
        assert_eq!(single_flight.join(1, fetch).await, Some(1));
        let second = |_: Completer<u8>| async { unreachable!("the first is still in flight") };
        assert_eq!(single_flight.join(1, second).await, Some(1));
        done.notify_one();
    }
}
