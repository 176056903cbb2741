//! The sockets of one address: TCP and UDP on the same port.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;
use verge_daemon::listen::ListenError;

use super::{tcp, udp};

/// The open sockets of one address.
pub(crate) struct Sockets {
    pub(crate) udp: udp::Sockets,
    pub(crate) tcp: TcpListener,
    /// With the port that was chosen.
    pub(crate) address: SocketAddr,
}

/// Opens TCP and UDP on the same port, also if the port is still to be chosen. TCP first: it fails if the port is in use, while UDP
/// sockets would join those of the other process and take some of its queries.
pub(crate) fn open(address: SocketAddr, workers: usize) -> Result<Sockets, ListenError> {
    const ATTEMPTS: usize = 16;
    let what = "dns";
    let mut attempts = 0;
    loop {
        attempts += 1;
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::AddrInUse => ListenError::Taken { what, address },
            _ => ListenError::Refused { what, address, source },
        };
        let tcp = tcp::open(address).map_err(failed)?;
        let chosen = tcp.local_addr().map_err(|source| ListenError::Unusable { what, source })?;
        match udp::open(chosen, workers) {
            Ok(udp) => return Ok(Sockets { udp, tcp, address: chosen }),
            // A port that is free for TCP may be in use for UDP.
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && attempts < ATTEMPTS => {}
            Err(error) => return Err(failed(error)),
        }
    }
}
