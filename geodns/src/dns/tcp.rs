//! DNS over TCP (RFC 7766): as many questions on a connection as come, answered in their order.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use hickory_server::net::DnsStreamHandle as _;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as MessageStream;
use hickory_server::proto::op::SerialMessage;
use hickory_server::server::TimeoutStream;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use verge_daemon::Tasks;

use super::udp::Answerer;

/// What strangers may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections at once, at all addresses together.
    pub connections: usize,
    /// Connections at once from one IPv4 address, or one /56 of IPv6.
    pub per_address: usize,
    /// A connection on which no whole question comes for this long is closed.
    pub idle: Duration,
}

impl Default for TcpLimits {
    fn default() -> Self {
        Self { connections: 1000, per_address: 100, idle: Duration::from_secs(10) }
    }
}

/// The longest message there can be.
const MESSAGE_MAX: usize = 65_535;

/// Answers that may wait for a client to take them; one that asks on without taking any is cut off.
const ANSWERS_WAITING: usize = 64;

/// Opens a TCP port: of IPv6 for that alone, so that both families' wildcards can be listened at.
pub(crate) fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart need not wait for the connections of the process before.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Answers what comes to `listener` until `tasks` drain. `answerer` makes one answerer for each connection.
pub(crate) fn serve<A: Answerer>(
    listener: TcpListener,
    guests: &Guests,
    tasks: &Tasks,
    answerer: impl Fn() -> A + Send + 'static,
) {
    let accept = {
        let (tasks, guests) = (tasks.clone(), guests.clone());
        async move {
            loop {
                // Who cannot be taken in waits in the kernel's queue.
                let Ok(place) = Arc::clone(&guests.free).acquire_owned().await else { return };
                let (stream, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::debug!(%error, "a connection came to nothing");
                        // Out of file descriptors, likely: others must end first.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                };
                let Some(guest) = guests.enter(peer.ip()) else { continue };
                let draining = tasks.draining().clone();
                let connection = converse(stream, peer, guests.limits.idle, answerer());
                drop(tasks.spawn("dns over tcp", async move {
                    let _held = (place, guest);
                    draining.run_until_cancelled(connection).await;
                }));
            }
        }
    };
    drop(tasks.spawn("dns over tcp: accepting", tasks.draining().clone().run_until_cancelled_owned(accept)));
}

async fn converse(stream: TcpStream, peer: SocketAddr, idle: Duration, mut answerer: impl Answerer) {
    // Each answer is written whole, in one go: waiting for more only delays it.
    let _ = stream.set_nodelay(true);
    let stream = AsyncIoTokioAsStd(stream);
    let (messages, mut answers) = MessageStream::from_stream_with_buffer_size(stream, peer, ANSWERS_WAITING);
    let mut messages = TimeoutStream::new(messages, idle);
    let mut buffer = vec![0; MESSAGE_MAX];
    while let Some(Ok(message)) = messages.next().await {
        answerer.begin();
        let Some(length) = answerer.answer(message.bytes(), peer, &mut buffer) else { return };
        if answers.send(SerialMessage::new(buffer[..length].to_vec(), peer)).is_err() {
            return;
        }
    }
}

/// The connections of all listeners. Clones share them.
#[derive(Clone)]
pub(crate) struct Guests {
    limits: TcpLimits,
    free: Arc<Semaphore>,
    counts: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl Guests {
    /// Nobody yet.
    pub(crate) fn new(limits: TcpLimits) -> Self {
        Self { limits, free: Arc::new(Semaphore::new(limits.connections)), counts: Arc::default() }
    }

    /// One more, unless its network has too many already.
    fn enter(&self, address: IpAddr) -> Option<Guest> {
        let network = network(address);
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(network).or_default();
        if *count >= self.limits.per_address {
            return None;
        }
        *count += 1;
        Some(Guest { guests: self.clone(), network })
    }
}

/// What one customer of a provider has: an address, or a /56.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !0 << 72).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection that counts, for as long as it lives.
struct Guest {
    guests: Guests,
    network: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_site_is_one_guest() {
        let limits = TcpLimits { per_address: 1, ..TcpLimits::default() };
        let guests = Guests::new(limits);
        let first = guests.enter("2001:db8:0:1::1".parse().unwrap()).unwrap();
        assert!(guests.enter("2001:db8:0:2::1".parse().unwrap()).is_none());
        assert!(guests.enter("2001:db8:0:100::1".parse().unwrap()).is_some());
        let _other = guests.enter("192.0.2.1".parse().unwrap()).unwrap();
        assert!(guests.enter("::ffff:192.0.2.1".parse().unwrap()).is_none());
        drop(first);
        assert!(guests.enter("2001:db8:0:2::1".parse().unwrap()).is_some());
    }
}
