//! Which connections a listener keeps when more come than it has places for.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::task::AbortHandle;

use super::activity::Activity;
use super::handshakes::Handshakes;
use super::limits::HttpLimits;

/// When all places are taken, one in so many is vacated, so that a flood of connections does not have to look at all of them for each.
const VACATED: usize = 64;

/// The places of one listener. Whoever comes gets one: the connection that has done nothing for the longest time gives way, among those of
/// the same address if it has as many as an address may have.
pub(super) struct Places {
    limits: HttpLimits,
    handshakes: Handshakes,
    taken: Mutex<Taken>,
}

#[derive(Default)]
struct Taken {
    count: usize,
    /// All places were taken, and it was logged.
    was_full: bool,
    by_address: HashMap<IpAddr, Vec<Arc<Occupant>>>,
}

/// A connection that has a place.
pub(super) struct Occupant {
    pub(super) activity: Arc<Activity>,
    /// Ends it. Set once its task runs.
    pub(super) abort: OnceLock<AbortHandle>,
}

/// A place, until it is dropped.
pub(super) struct Place {
    places: Arc<Places>,
    address: IpAddr,
    is_limited: bool,
    occupant: Arc<Occupant>,
}

impl Places {
    pub(super) fn new(limits: HttpLimits) -> Arc<Self> {
        let handshakes = Handshakes::new(limits.handshakes_per_second, limits.connections_per_address);
        Arc::new(Self { limits, handshakes, taken: Mutex::default() })
    }

    /// A place for a connection of `listener` from `peer`. Others may be ended for it.
    pub(super) fn take(self: &Arc<Self>, listener: &'static str, peer: IpAddr) -> Place {
        let limited = self.limits.limited(peer);
        let address = limited.unwrap_or(peer);
        let occupant = Arc::new(Occupant { activity: Arc::new(Activity::new()), abort: OnceLock::new() });
        let mut taken = self.lock();
        if taken.count >= self.limits.connections {
            let closed = taken.vacate(self.limits.connections.div_ceil(VACATED));
            if !std::mem::replace(&mut taken.was_full, true) {
                let limit = self.limits.connections;
                tracing::warn!(
                    listener,
                    limit,
                    closed,
                    "connection limit reached: closing those that have done nothing for the longest time"
                );
            }
        } else if taken.count < self.limits.connections / 2 {
            taken.was_full = false;
        }
        if limited.is_some() {
            let of_address = taken.by_address.get(&address).map_or(&[][..], |occupants| occupants);
            if of_address.len() >= self.limits.connections_per_address
                && let Some(first) = of_address.iter().min_by_key(|occupant| occupant.activity.rank()).cloned()
            {
                taken.end(address, &first);
            }
        }
        taken.count += 1;
        taken.by_address.entry(address).or_default().push(Arc::clone(&occupant));
        drop(taken);
        Place { places: Arc::clone(self), address, is_limited: limited.is_some(), occupant }
    }

    /// Ends one in [`VACATED`] of the connections, those that have done nothing for the longest time, since no other can be accepted. Returns how
    /// many.
    pub(super) fn vacate(&self) -> usize {
        let mut taken = self.lock();
        let count = taken.count.div_ceil(VACATED);
        taken.vacate(count)
    }

    /// Ends one in [`VACATED`] of the connections of whose responses one has waited for the client for `stalled_for`, the longest first.
    pub(super) fn relieve(&self, stalled_for: Duration) {
        let mut taken = self.lock();
        let all = taken.by_address.iter().flat_map(|(address, occupants)| occupants.iter().map(|one| (*address, one)));
        let all = all.map(|(address, occupant)| (occupant.activity.stalled_for(), address, occupant));
        let stalled = all.filter(|(stalled, ..)| *stalled >= stalled_for);
        let mut stalled: Vec<_> = stalled.map(|(stalled, address, one)| (stalled, address, Arc::clone(one))).collect();
        stalled.sort_unstable_by_key(|(stalled, ..)| Reverse(*stalled));
        for (_, address, occupant) in &stalled[..stalled.len().div_ceil(VACATED)] {
            taken.end(*address, occupant);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Ends the `count` connections that have done nothing for the longest time.
    fn vacate(&mut self, count: usize) -> usize {
        let all = self.by_address.iter().flat_map(|(address, occupants)| occupants.iter().map(|one| (*address, one)));
        let mut all: Vec<_> = all.map(|(address, one)| (one.activity.rank(), address, Arc::clone(one))).collect();
        let count = count.min(all.len());
        if count > 0 {
            all.select_nth_unstable_by_key(count - 1, |(rank, ..)| *rank);
        }
        for (_, address, occupant) in &all[..count] {
            self.end(*address, occupant);
        }
        count
    }

    fn end(&mut self, address: IpAddr, occupant: &Arc<Occupant>) {
        self.remove(address, occupant);
        if let Some(abort) = occupant.abort.get() {
            abort.abort();
        }
    }

    /// Does nothing if it is removed already.
    fn remove(&mut self, address: IpAddr, occupant: &Arc<Occupant>) {
        let Some(occupants) = self.by_address.get_mut(&address) else { return };
        let Some(index) = occupants.iter().position(|other| Arc::ptr_eq(other, occupant)) else { return };
        occupants.swap_remove(index);
        self.count -= 1;
        if occupants.is_empty() {
            self.by_address.remove(&address);
        }
    }
}

impl Place {
    /// How long its TLS handshake has to wait for others of the same address.
    pub(super) fn handshake_turn(&self) -> Duration {
        if self.is_limited { self.places.handshakes.turn(self.address) } else { Duration::ZERO }
    }

    /// What the connection is doing.
    pub(super) fn occupant(&self) -> &Arc<Occupant> {
        &self.occupant
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.lock().remove(self.address, &self.occupant);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};

    use super::super::in_flight::InFlight;
    use super::super::trusted_proxies::TrustedProxies;
    use super::*;
    use crate::Tasks;

    /// Connections with a task each.
    struct Listener {
        places: Arc<Places>,
        tasks: Tasks,
    }

    impl Listener {
        fn new(connections: usize, connections_per_address: usize) -> Self {
            let trusted_proxies = TrustedProxies::new(["10.0.0.0/8".parse().unwrap()]);
            let limits = HttpLimits { connections, connections_per_address, trusted_proxies, ..HttpLimits::default() };
            Self { places: Places::new(limits), tasks: Tasks::default() }
        }

        /// The activity of a connection that stays until it is ended.
        fn connect(&self, peer: impl Into<IpAddr>) -> Arc<Activity> {
            let place = self.places.take("test", peer.into());
            let occupant = Arc::clone(place.occupant());
            let task = self.tasks.spawn("connection", async move {
                let _place = place;
                std::future::pending::<()>().await;
            });
            occupant.abort.set(task.abort_handle()).unwrap();
            Arc::clone(&occupant.activity)
        }

        /// Waits until so many connections are left.
        async fn settle(&self, connections: usize) {
            while self.tasks.running().get("connection").copied().unwrap_or_default() != connections {
                tokio::task::yield_now().await;
            }
            assert_eq!(self.places.lock().count, connections);
        }

        fn has(&self, activity: &Arc<Activity>) -> bool {
            self.places.lock().by_address.values().flatten().any(|one| Arc::ptr_eq(&one.activity, activity))
        }
    }

    #[tokio::test]
    async fn address_with_all_its_places_gets_another_for_the_one_that_has_been_idle_the_longest() {
        let listener = Listener::new(1000, 3);
        let other = listener.connect(Ipv4Addr::new(192, 0, 2, 2));
        let peer = Ipv4Addr::new(192, 0, 2, 1);
        let connections = [(); 3].map(|()| listener.connect(peer));
        // The first has a request; then the second has progressed last.
        let _request = InFlight::begin(&connections[0]);
        connections[2].set_progressed_at(1);
        connections[1].set_progressed_at(2);
        let newest = listener.connect(peer.to_ipv6_mapped());
        listener.settle(4).await;
        let kept = [&connections[0], &connections[1], &newest, &other];
        assert!(kept.into_iter().all(|one| listener.has(one)) && !listener.has(&connections[2]));
    }

    #[tokio::test]
    async fn customer_of_an_ipv6_provider_counts_as_one_address_and_a_trusted_proxy_as_none() {
        let listener = Listener::new(1000, 2);
        for last in 1..=5 {
            listener.connect(Ipv6Addr::new(0x2001, 0xdb8, 0, last, 0, 0, 0, 1));
        }
        listener.settle(2).await;
        listener.connect(Ipv6Addr::new(0x2001, 0xdb8, 0, 0x100, 0, 0, 0, 1));
        for last in 1..=5 {
            listener.connect(Ipv4Addr::new(10, 0, 0, last));
            listener.connect(Ipv4Addr::new(10, 0, 0, 1));
        }
        listener.settle(13).await;
    }

    #[tokio::test]
    async fn full_listener_ends_the_connections_that_have_been_idle_the_longest() {
        let listener = Listener::new(128, 1000);
        let connections: Vec<_> = (0..128).map(|last| listener.connect(Ipv4Addr::new(192, 0, 2, last))).collect();
        for (index, connection) in connections.iter().enumerate() {
            connection.set_progressed_at(1000 - index as u64);
        }
        // Two in 128 are ended at once.
        let newest = listener.connect(Ipv4Addr::new(198, 51, 100, 1));
        listener.settle(127).await;
        let kept: Vec<bool> = connections.iter().map(|one| listener.has(one)).collect();
        assert!(kept[..126].iter().all(|kept| *kept) && !kept[126] && !kept[127] && listener.has(&newest));
    }

    #[tokio::test]
    async fn connections_that_keep_memory_from_others_are_ended_the_longest_stalled_first() {
        let listener = Listener::new(128, 1000);
        let connections @ [idle, busy, short, long, http2] = &[(); 5].map(|()| listener.connect(Ipv4Addr::LOCALHOST));
        let _responses = [busy, short, long, http2].map(InFlight::begin);
        for (connection, progressed_at) in [(idle, 0), (short, 2), (long, 1)] {
            connection.set_progressed_at(progressed_at);
        }
        http2.set_stream_stalled(5001);
        for left in [&[0, 1, 2, 4][..], &[0, 1, 4], &[0, 1], &[0, 1]] {
            listener.places.relieve(Duration::from_secs(5));
            listener.settle(left.len()).await;
            let are_left: Vec<usize> = (0..5).filter(|index| listener.has(&connections[*index])).collect();
            assert_eq!(are_left, left);
        }
    }

    #[tokio::test]
    async fn place_of_a_connection_that_ends_is_free() {
        let listener = Listener::new(2, 1);
        drop(listener.places.take("test", Ipv4Addr::LOCALHOST.into()));
        let connection = listener.connect(Ipv4Addr::LOCALHOST);
        listener.settle(1).await;
        assert!(listener.has(&connection));
    }
}
