//! Opening ports.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;

/// A port to be opened, or one that is open already.
#[derive(Clone)]
pub enum Listen {
    /// To be opened; port 0 takes a free one.
    At(SocketAddr),
    /// Opened by whoever started us. Connections wait in the kernel's queue until we accept.
    Open(Arc<std::net::TcpListener>),
}

impl std::fmt::Debug for Listen {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::At(address) => write!(formatter, "{address}"),
            Self::Open(_) => write!(formatter, "an open port, {}", self.port()),
        }
    }
}

impl Listen {
    /// The port, as far as it is known: 0 for one that is yet to be chosen.
    pub fn port(&self) -> u16 {
        match self {
            Self::At(address) => address.port(),
            Self::Open(listener) => listener.local_addr().map_or(0, |address| address.port()),
        }
    }
}

impl From<SocketAddr> for Listen {
    fn from(address: SocketAddr) -> Self {
        Self::At(address)
    }
}

/// Why a port cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Somebody else has it.
    #[error("port {} of {} is taken (for {what})", address.port(), address.ip())]
    Taken {
        /// What was to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
    },
    /// The open port that was handed over is of no use.
    #[error("the open port for {what} cannot be used")]
    Unusable {
        /// What was to listen.
        what: &'static str,
        /// Why.
        source: std::io::Error,
    },
    /// Anything else: no such address here, or no right to a port below 1024.
    #[error("cannot listen on {address} (for {what})")]
    Refused {
        /// What was to listen.
        what: &'static str,
        /// Where.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
}

/// Opens a TCP port, or takes the open one. `what` names its purpose in an error.
pub async fn tcp(what: &'static str, listen: impl Into<Listen>) -> Result<TcpListener, ListenError> {
    match listen.into() {
        Listen::At(address) => TcpListener::bind(address).await.map_err(|source| match source.kind() {
            std::io::ErrorKind::AddrInUse => ListenError::Taken { what, address },
            _ => ListenError::Refused { what, address, source },
        }),
        Listen::Open(listener) => adopt(&listener).map_err(|source| ListenError::Unusable { what, source }),
    }
}

/// Opens a TCP port, to be handed over.
pub async fn open(what: &'static str, address: SocketAddr) -> Result<Listen, ListenError> {
    let listener = tcp(what, address).await?.into_std().map_err(|source| ListenError::Unusable { what, source })?;
    Ok(Listen::Open(Arc::new(listener)))
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
    async fn a_taken_port_is_named() {
        let any_port: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = tcp("readers", any_port).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = tcp("readers", address).await.unwrap_err();
        assert_eq!(error.to_string(), format!("port {} of 127.0.0.1 is taken (for readers)", address.port()));
    }
}
