//! DNS over TCP (RFC 7766): any number of queries on a connection, answered in their order.

mod connection;
mod connection_limiter;
mod idle_connections;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use verge_daemon::Tasks;

use self::connection::Connection;
pub(crate) use self::connection_limiter::ConnectionLimiter;
pub use self::connection_limiter::TcpLimits;
use super::transport::Answerer;

/// How long the last responses may take to leave when tasks drain. A client that reads none does not delay the shutdown for longer.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Binds a TCP port. An IPv6 socket takes IPv6 only, so that `0.0.0.0` and `[::]` can both be listened on.
pub(crate) fn open(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the connections of the previous process to time out.
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    TcpListener::from_std(socket.into())
}

/// Serves connections to `listener` until `tasks` drain. Queries that have arrived by then are answered, and each connection is
/// closed as soon as it is idle, at the latest after [`CLOSE_TIMEOUT`]. `answerer` makes one answerer for each connection.
pub(crate) fn serve<A: Answerer>(
    listener: TcpListener,
    limiter: &ConnectionLimiter,
    tasks: &Tasks,
    answerer: impl Fn() -> A + Send + 'static,
) {
    let accept = {
        let (tasks, limiter) = (tasks.clone(), limiter.clone());
        async move {
            loop {
                let (stream, peer) = match listener.accept().await {
                    Ok(accepted) => accepted,
                    Err(error) => {
                        tracing::debug!(%error, "failed to accept a connection");
                        // Probably out of file descriptors: other connections must end first.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                        continue;
                    }
                };
                let Some(network_slot) = limiter.admit(peer.ip()) else { continue };
                // Further clients wait in the kernel's queue meanwhile.
                let permit = limiter.permit().await;
                // Each response is written whole, in one call: waiting for more only delays it.
                let _ = stream.set_nodelay(true);
                let end = tasks.draining().child_token();
                let connection = Connection::new(stream, limiter.idle_connections.clone(), end);
                let served = connection.serve(peer, limiter.limits.idle, answerer());
                let draining = tasks.draining().clone();
                drop(tasks.spawn("dns over tcp", async move {
                    let _held = (permit, network_slot);
                    tokio::select! {
                        // Errors are the client's: it went away, or was too slow.
                        _ = served => {}
                        () = close_timeout(draining) => {}
                    }
                }));
            }
        }
    };
    drop(tasks.spawn("dns over tcp: accepting", tasks.draining().clone().run_until_cancelled_owned(accept)));
}

/// Ends when connections that are still open after the shutdown began must be closed.
async fn close_timeout(draining: CancellationToken) {
    draining.cancelled().await;
    tokio::time::sleep(CLOSE_TIMEOUT).await;
}
