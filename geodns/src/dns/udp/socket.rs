//! Opening the sockets of an address.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

/// How long a thread waits for a question before it looks whether it is to end.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Room for questions that wait, in bytes: a burst of some thousands.
const RECEIVE_BUFFER: usize = 1 << 20;

/// A socket of an address.
pub(super) struct Socket {
    pub(super) udp: UdpSocket,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere the system chooses"))]
    /// Whether it is bound to any address of this machine, so that an answer must be told from which to go.
    pub(super) any_address: bool,
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere one kind of batch is for both"))]
    /// Whether it is of IPv6, and of that alone.
    pub(super) is_ipv6: bool,
}

/// All sockets of an address, bound.
pub(crate) struct Sockets(Vec<Socket>);

impl Sockets {
    pub(super) fn into_iter(self) -> impl Iterator<Item = Socket> {
        self.0.into_iter()
    }
}

/// Binds `count` sockets, at least one, to an address with its port.
pub(crate) fn open(address: SocketAddr, count: usize) -> io::Result<Sockets> {
    (0..count.max(1)).map(|_| bind(address)).collect::<Result<_, _>>().map(Sockets)
}

fn bind(address: SocketAddr) -> io::Result<Socket> {
    let socket = RawSocket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
    let any_address = address.ip().is_unspecified();
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // As much as the system gives; it says nothing when that is less.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_read_timeout(Some(LOOK_UP))?;
    socket.bind(&address.into())?;
    let socket = Socket { udp: socket.into(), any_address, is_ipv6: address.is_ipv6() };
    #[cfg(target_os = "linux")]
    super::batch_linux::prepare(&socket, address)?;
    Ok(socket)
}
