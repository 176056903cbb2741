//! DNS over TCP (RFC 7766): as many questions on a connection as come, answered in their order.

mod guests;
mod idle;
mod wire;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use hickory_server::net::DnsStreamHandle as _;
use hickory_server::net::runtime::iocompat::AsyncIoTokioAsStd;
use hickory_server::net::tcp::TcpStream as MessageStream;
use hickory_server::proto::op::SerialMessage;
use hickory_server::server::TimeoutStream;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use verge_daemon::Tasks;

pub(crate) use self::guests::Guests;
pub use self::guests::TcpLimits;
use self::wire::Wire;
use super::udp::Answerer;

/// The longest message there can be.
const MESSAGE_MAX: usize = 65_535;

/// Answers that wait to be written. More than one never do: no question is read before the last is answered.
const ANSWERS_WAITING: usize = 1;

/// How long the last answers may take to leave when tasks drain: a client that takes none does not hold up the end for longer.
const FAREWELL: Duration = Duration::from_secs(1);

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

/// Answers what comes to `listener` until `tasks` drain; then what has come by then, and closes each connection as soon as nothing is
/// under way on it, at the latest after [`FAREWELL`]. `answerer` makes one answerer for each connection.
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
                // Others wait in the kernel's queue meanwhile.
                let place = guests.place().await;
                // Each answer is written whole, in one go: waiting for more only delays it.
                let _ = stream.set_nodelay(true);
                let wire = Wire::new(stream, guests.idlers.clone(), tasks.draining().child_token());
                let connection = converse(wire, peer, guests.limits.idle, answerer());
                let draining = tasks.draining().clone();
                drop(tasks.spawn("dns over tcp", async move {
                    let _held = (place, guest);
                    tokio::select! {
                        () = connection => {}
                        () = farewell(draining) => {}
                    }
                }));
            }
        }
    };
    drop(tasks.spawn("dns over tcp: accepting", tasks.draining().clone().run_until_cancelled_owned(accept)));
}

/// The moment at which whoever is still here is cut off.
async fn farewell(draining: CancellationToken) {
    draining.cancelled().await;
    tokio::time::sleep(FAREWELL).await;
}

/// Answers questions until no more come, and all that came have their answers: hickory sends an answer before it reads on.
async fn converse(wire: Wire, peer: SocketAddr, idle: Duration, mut answerer: impl Answerer) {
    let stream = AsyncIoTokioAsStd(wire);
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
