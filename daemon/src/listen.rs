//! Opening ports.

use std::net::SocketAddr;

use tokio::net::TcpListener;

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

/// Opens a TCP port; 0 takes a free one. `what` names its purpose in an error.
pub async fn tcp(what: &'static str, address: SocketAddr) -> Result<TcpListener, ListenError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ListenError::Taken { what, address },
        _ => ListenError::Refused { what, address, source },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_taken_port_is_named() {
        let first = tcp("readers", "127.0.0.1:0".parse().unwrap()).await.unwrap();
        let address = first.local_addr().unwrap();
        let error = tcp("readers", address).await.unwrap_err();
        assert_eq!(error.to_string(), format!("port {} of 127.0.0.1 is taken (for readers)", address.port()));
    }
}
