//! Addresses that edges do not share: DNS says nothing of ports, so at one address there is one edge.

use std::io::ErrorKind;
use std::net::SocketAddr;

use verge_daemon::listen::{self, Listen, ListenError};

use super::ports::Ports;

/// How often a port that is free at one address may be taken at the next, before that is said.
const TRIES: usize = 16;

/// An address of one edge, open.
pub(super) struct Alone {
    pub(super) address: SocketAddr,
    pub(super) listen: Listen,
}

/// Opens the address of each edge, all at one port. `None` where this machine has no such addresses: Linux has all of 127.0.0.0/8,
/// others have 127.0.0.1 unless more were added.
pub(super) async fn open(ports: Ports, edges: u16) -> Result<Option<Vec<Alone>>, ListenError> {
    for _ in 1..TRIES {
        match open_all(ports, edges).await {
            // Free at the first address is not free at all of them.
            Err(ListenError::Taken { .. }) if ports.are_free() => {}
            Err(ListenError::Refused { source, .. }) if source.kind() == ErrorKind::AddrNotAvailable => {
                return Ok(None);
            }
            opened => return opened.map(Some),
        }
    }
    open_all(ports, edges).await.map(Some)
}

async fn open_all(ports: Ports, edges: u16) -> Result<Vec<Alone>, ListenError> {
    let mut opened: Vec<Alone> = Vec::new();
    for edge in 1..=edges {
        let mut address = ports.edge_alone(edge);
        if let Some(first) = opened.first() {
            address.set_port(first.address.port());
        }
        let listen = listen::open("readers", address).await?;
        address.set_port(listen.port());
        opened.push(Alone { address, listen });
    }
    Ok(opened)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_edge_has_an_address_and_all_have_one_port() {
        let opened = open(Ports::new(0).unwrap(), 3).await.unwrap().unwrap();
        let port = opened[0].address.port();
        let addresses: Vec<String> = opened.iter().map(|alone| alone.address.to_string()).collect();
        assert_ne!(port, 0);
        assert_eq!(addresses, [2, 3, 4].map(|last| format!("127.0.0.{last}:{port}")));
        assert!(opened.iter().all(|alone| alone.listen.port() == port));
    }
}
