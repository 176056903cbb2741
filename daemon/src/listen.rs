//! Listening sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use socket2::SockRef;
use tokio::net::{TcpListener, TcpSocket};

/// Connections that wait to be accepted.
pub const BACKLOG: u32 = 4096;

/// Bytes of a connection that the kernel keeps beyond those that are on their way to the client (`TCP_NOTSENT_LOWAT`): enough to keep a fast
/// line busy, and all that a client costs who takes nothing.
pub const UNSENT_MAX: u32 = 128 * 1024;

/// Where to listen: an address to bind, or a socket that is bound already.
#[derive(Clone)]
pub enum Listen {
    /// Bind this address; port 0 picks a free one.
    Bind(SocketAddr),
    /// A socket bound by the caller. Connections wait in the kernel's accept queue until the daemon accepts.
    Bound(Arc<std::net::TcpListener>),
}

impl std::fmt::Debug for Listen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bind(address) => write!(formatter, "{address}"),
            Self::Bound(_) => write!(formatter, "a bound socket, port {}", self.port()),
        }
    }
}

impl Listen {
    /// The port; 0 if it is yet to be picked.
    pub fn port(&self) -> u16 {
        match self {
            Self::Bind(address) => address.port(),
            Self::Bound(listener) => listener.local_addr().map_or(0, |address| address.port()),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::Bind(address)
    }
}

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// The port is in use.
    #[error("failed to listen on {address} for {what}: the port is in use")]
    Taken {
        /// The purpose of the listener.
        what: &'static str,
        /// The address.
        address: SocketAddr,
    },
    /// The socket passed by the caller cannot be used.
    #[error("failed to use the bound socket for {what}")]
    Unusable {
        /// The purpose of the listener.
        what: &'static str,
        /// The cause.
        source: std::io::Error,
    },
    /// Anything else: an address of another machine, or no permission for a port below 1024.
    #[error("failed to listen on {address} for {what}")]
    Refused {
        /// The purpose of the listener.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// The cause.
        source: std::io::Error,
    },
}

/// Binds a TCP listener, or takes the bound socket. `what` names its purpose in errors.
///
/// Up to [`BACKLOG`] connections wait to be accepted, or as many as the kernel allows (`net.core.somaxconn`). Those that are accepted send
/// without delay, and have at most about [`UNSENT_MAX`] bytes in the kernel that are not on their way.
#[expect(clippy::unused_async, reason = "it needs a runtime, which an `async fn` says")]
pub async fn tcp(what: &'static str, listen: impl Into<Listen>) -> Result<TcpListener, ListenError> {
    match listen.into() {
        Listen::Bind(address) => bind(address).map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => ListenError::Taken { what, address },
            _ => ListenError::Refused { what, address, source },
        }),
        Listen::Bound(listener) => adopt(&listener).map_err(|source| ListenError::Unusable { what, source }),
    }
}

/// Binds a TCP listener, to be passed to a daemon.
pub async fn open(what: &'static str, address: SocketAddr) -> Result<Listen, ListenError> {
    let listener = tcp(what, address).await?.into_std().map_err(|source| ListenError::Unusable { what, source })?;
    Ok(Listen::Bound(Arc::new(listener)))
}

fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    // The port of a daemon that has just ended is free.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?;
    set_options(&SockRef::from(&listener))?;
    Ok(listener)
}

fn adopt(listener: &std::net::TcpListener) -> std::io::Result<TcpListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    let socket = SockRef::from(&listener);
    // Whoever bound it may have said another length; it can be said again.
    socket.listen(i32::try_from(BACKLOG).unwrap_or(i32::MAX))?;
    set_options(&socket)?;
    TcpListener::from_std(listener)
}

/// Connections have the options of the listener that accepts them.
fn set_options(listener: &SockRef<'_>) -> std::io::Result<()> {
    // Responses are written in full; Nagle's algorithm would only delay them.
    listener.set_tcp_nodelay(true)?;
    listener.set_tcp_notsent_lowat(UNSENT_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn port_in_use_is_reported() {
        let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = tcp("readers", any_port).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = tcp("readers", address).await.unwrap_err();
        assert_eq!(error.to_string(), format!("failed to listen on {address} for readers: the port is in use"));
    }
}
