//! The UDP sockets of an address.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket as RawSocket, Type};

/// The longest query that is read, in bytes; real ones have less than 300.
pub(super) const QUERY_MAX: usize = 1232;

/// How long a thread waits for a query before it checks whether it must stop.
const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// The bytes of queries that the kernel queues: a burst of some thousands.
const RECEIVE_BUFFER: usize = 1 << 20;

/// One of the sockets of an address.
pub(super) struct Socket {
    pub(super) udp: UdpSocket,
    /// Whether it is bound to all addresses of this machine, so that each response needs a source address.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere the system chooses the address"))]
    pub(super) any_address: bool,
    /// Whether it is an IPv6 socket. Those do not receive IPv4.
    #[cfg_attr(not(target_os = "linux"), allow(dead_code, reason = "elsewhere a batch is for both families"))]
    pub(super) is_ipv6: bool,
}

/// The sockets of an address, bound to it.
pub(crate) struct Sockets(Vec<Socket>);

impl Sockets {
    pub(super) fn into_iter(self) -> impl Iterator<Item = Socket> {
        self.0.into_iter()
    }
}

/// Binds `count` sockets, at least one, to `address`.
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
    // The system may grant less without an error.
    let _ = socket.set_recv_buffer_size(RECEIVE_BUFFER);
    socket.set_read_timeout(Some(READ_TIMEOUT))?;
    socket.bind(&address.into())?;
    let socket = Socket { udp: socket.into(), any_address, is_ipv6: address.is_ipv6() };
    #[cfg(target_os = "linux")]
    request_destination_addresses(&socket)?;
    Ok(socket)
}

/// Makes the kernel report to which address each query was sent, unless the socket is bound to one.
#[cfg(target_os = "linux")]
fn request_destination_addresses(socket: &Socket) -> io::Result<()> {
    use nix::sys::socket::{setsockopt, sockopt};

    match (socket.any_address, socket.is_ipv6) {
        (false, _) => {}
        (true, false) => setsockopt(&socket.udp, sockopt::Ipv4PacketInfo, &true)?,
        (true, true) => setsockopt(&socket.udp, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}
