//! Listening sockets.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

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
pub async fn tcp(what: &'static str, listen: impl Into<Listen>) -> Result<TcpListener, ListenError> {
    match listen.into() {
        Listen::Bind(address) => TcpListener::bind(address).await.map_err(|source| match source.kind() {
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

fn adopt(listener: &std::net::TcpListener) -> std::io::Result<TcpListener> {
    let listener = listener.try_clone()?;
    listener.set_nonblocking(true)?;
    TcpListener::from_std(listener)
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
