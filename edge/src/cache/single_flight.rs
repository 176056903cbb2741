//! Single flight: what many ask for at once is fetched once.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use verge_daemon::Tasks;

type Airborne<K, V> = Arc<Mutex<HashMap<K, watch::Receiver<Option<V>>>>>;

/// Fetches under way, by what they fetch.
pub(super) struct Flights<K, V> {
    name: &'static str,
    tasks: Tasks,
    airborne: Airborne<K, V>,
}

/// Where a flight tells its result, once.
pub(super) struct Landing<V>(watch::Sender<Option<V>>);

impl<V> Landing<V> {
    /// Tells everybody who waits, and everybody who comes before the flight is over.
    pub(super) fn land(self, value: V) {
        self.0.send_replace(Some(value));
    }
}

impl<K, V> Flights<K, V>
where
    K: Eq + Hash + Clone + Send + 'static,
    V: Clone + Send + Sync + 'static,
{
    /// `name` is that of its tasks.
    pub(super) fn new(name: &'static str, tasks: Tasks) -> Self {
        Self { name, tasks, airborne: Airborne::default() }
    }

    /// Waits for the flight that fetches `key`, after starting it unless it is under way. `None` if it ended without landing:
    /// it panicked, or was cut off.
    ///
    /// Cancel-safe: the flight is a task of its own, and goes on when nobody waits any more.
    pub(super) async fn join<F, Fut>(&self, key: K, take_off: F) -> Option<V>
    where
        F: FnOnce(Landing<V>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut landed = self.board(key, take_off);
        // The sender goes when the flight has landed; the value stays.
        let value = landed.wait_for(Option::is_some).await.ok()?;
        value.clone()
    }

    fn board<F, Fut>(&self, key: K, take_off: F) -> watch::Receiver<Option<V>>
    where
        F: FnOnce(Landing<V>) -> Fut,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let mut airborne = lock(&self.airborne);
        if let Some(flight) = airborne.get(&key) {
            return flight.clone();
        }
        let (sender, receiver) = watch::channel(None);
        airborne.insert(key.clone(), receiver.clone());
        let leave = Leave { airborne: Arc::clone(&self.airborne), key };
        let flight = take_off(Landing(sender));
        drop(self.tasks.spawn(self.name, async move {
            let _leave = leave;
            flight.await;
        }));
        receiver
    }
}

/// Strikes a flight off the list when it is over, however it ends.
struct Leave<K: Eq + Hash, V> {
    airborne: Airborne<K, V>,
    key: K,
}

impl<K: Eq + Hash, V> Drop for Leave<K, V> {
    fn drop(&mut self) {
        lock(&self.airborne).remove(&self.key);
    }
}

fn lock<K, V>(airborne: &Airborne<K, V>) -> MutexGuard<'_, HashMap<K, watch::Receiver<Option<V>>>> {
    airborne.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn a_thousand_wait_for_one_flight_and_the_first_goes_away() {
        let tasks = Tasks::default();
        let flights = Arc::new(Flights::<u8, usize>::new("flight", tasks.clone()));
        let started = Arc::new(AtomicUsize::new(0));
        let gate = Arc::new(Notify::new());
        let join = |flights: Arc<Flights<u8, usize>>| {
            let (started, gate) = (Arc::clone(&started), Arc::clone(&gate));
            async move {
                let fly = |landing: Landing<usize>| async move {
                    let number = started.fetch_add(1, Ordering::SeqCst) + 1;
                    gate.notified().await;
                    landing.land(number);
                };
                flights.join(7, fly).await
            }
        };
        let first = tasks.spawn("reader", join(Arc::clone(&flights)));
        while started.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        // All board before the gate opens: the branches are polled in order.
        let others = futures_util::future::join_all((0..1000).map(|_| join(Arc::clone(&flights))));
        let (others, ()) = tokio::join!(biased; others, async { gate.notify_one() });
        assert!(others.iter().all(|told| *told == Some(1)));
        assert_eq!(tasks.shutdown(Duration::from_secs(5)).await, Ok(()));
        assert!(lock(&flights.airborne).is_empty());
    }

    #[tokio::test]
    async fn a_flight_that_crashes_strands_nobody() {
        let flights = Flights::<u8, u8>::new("flight", Tasks::default());
        assert_eq!(flights.join(1, |_landing| async { panic!("engine failure") }).await, None);
        // A place that is free again: the next flight takes off.
        while lock(&flights.airborne).contains_key(&1) {
            tokio::task::yield_now().await;
        }
        assert_eq!(flights.join(1, |landing| async { landing.land(2) }).await, Some(2));
    }

    #[tokio::test]
    async fn who_comes_after_the_landing_but_before_the_end_is_told_too() {
        let flights = Flights::<u8, u8>::new("flight", Tasks::default());
        let done = Arc::new(Notify::new());
        let end = Arc::clone(&done);
        let fly = |landing: Landing<u8>| async move {
            landing.land(1);
            end.notified().await;
        };
        assert_eq!(flights.join(1, fly).await, Some(1));
        assert_eq!(flights.join(1, |_: Landing<u8>| async { unreachable!("it is still under way") }).await, Some(1));
        done.notify_one();
    }
}
