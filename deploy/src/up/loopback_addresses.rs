//! A loopback address for each edge: DNS has no ports, so edges need different addresses.

use std::io::ErrorKind;
use std::net::SocketAddr;

use verge_daemon::listen::{self, Listen, ListenError};

use super::ports::Ports;

/// How often to retry if a free port of one address is taken at another.
const ATTEMPTS: usize = 16;

/// An open listener at the address of one edge.
pub(super) struct EdgeListener {
    pub(super) address: SocketAddr,
    pub(super) listen: Listen,
}

/// Opens a listener for each edge, all with the same port. `None` if the machine has only 127.0.0.1: Linux has all of 127.0.0.0/8,
/// other systems only the addresses that were added.
pub(super) async fn open(ports: Ports, edges: u16) -> Result<Option<Vec<EdgeListener>>, ListenError> {
    for _ in 1..ATTEMPTS {
        match open_all(ports, edges).await {
            // The port is free at the first address, but taken at another.
            Err(ListenError::Taken { .. }) if ports.are_free() => {}
            Err(ListenError::Refused { source, .. }) if source.kind() == ErrorKind::AddrNotAvailable => {
                return Ok(None);
            }
            opened => return opened.map(Some),
        }
    }
    open_all(ports, edges).await.map(Some)
}

async fn open_all(ports: Ports, edges: u16) -> Result<Vec<EdgeListener>, ListenError> {
    let mut opened: Vec<EdgeListener> = Vec::new();
    for edge in 1..=edges {
        let mut address = ports.edge_loopback(edge);
        if let Some(first) = opened.first() {
            address.set_port(first.address.port());
        }
        let listen = listen::open("readers", address).await?;
        address.set_port(listen.port());
        opened.push(EdgeListener { address, listen });
    }
    Ok(opened)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn listeners_have_different_addresses_and_the_same_port() {
        let opened = open(Ports::new(0).unwrap(), 3).await.unwrap().unwrap();
        let port = opened[0].address.port();
        let addresses: Vec<String> = opened.iter().map(|listener| listener.address.to_string()).collect();
        assert_ne!(port, 0);
        assert_eq!(addresses, [2, 3, 4].map(|last| format!("127.0.0.{last}:{port}")));
        assert!(opened.iter().all(|listener| listener.listen.port() == port));
    }
}
