//! DNS over TCP (RFC 7766): as many questions on a connection as come, answered in their order.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use hickory_server::net::DnsStreamHandle as _;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as MessageStream;
use hickory_server::proto::op::SerialMessage;
use hickory_server::server::TimeoutStream;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use verge_daemon::Tasks;

use super::udp::Answerer;

/// What strangers may take of us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpLimits {
    /// Connections at once.
    pub connections: usize,
    /// Connections at once from one address.
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

/// Answers what comes to `listener` until `tasks` drain. `answerer` makes one answerer for each connection.
pub(crate) fn serve<A: Answerer>(
    listener: TcpListener,
    limits: TcpLimits,
    tasks: &Tasks,
    answerer: impl Fn() -> A + Send + 'static,
) {
    let accept = {
        let tasks = tasks.clone();
        async move {
            let free = Arc::new(Semaphore::new(limits.connections));
            let guests = Guests::default();
            loop {
                // Who cannot be taken in waits in the kernel's queue.
                let Ok(place) = Arc::clone(&free).acquire_owned().await else { return };
                let (stream, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::debug!(%error, "a connection came to nothing");
                        // Out of file descriptors, likely: others must end first.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                };
                let Some(guest) = guests.enter(peer.ip().to_canonical(), limits.per_address) else { continue };
                let draining = tasks.draining().clone();
                let connection = converse(stream, peer, limits.idle, answerer());
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

/// How many connections each address has.
#[derive(Clone, Default)]
struct Guests(Arc<Mutex<HashMap<IpAddr, usize>>>);

impl Guests {
    /// One more, unless it has `most` already.
    fn enter(&self, address: IpAddr, most: usize) -> Option<Guest> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= most {
            return None;
        }
        *count += 1;
        Some(Guest { guests: self.clone(), address })
    }
}

/// A connection that counts, for as long as it lives.
struct Guest {
    guests: Guests,
    address: IpAddr,
}

impl Drop for Guest {
    fn drop(&mut self) {
        let mut counts = self.guests.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = counts.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.address);
            }
        }
    }
}
