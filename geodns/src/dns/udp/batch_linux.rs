//! Receives and sends many datagrams with one call: `recvmmsg` and `sendmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg,
    sendmmsg, sendmsg,
};

use super::socket::{QUERY_MAX, Socket};
use crate::dns::response::UDP_SIZE;

/// The most datagrams of one call. More would save little, and delay the first response until the last is ready.
pub(super) const BATCH: usize = 32;

/// Queries that were received together, and their responses.
pub(super) enum Batch {
    V4(Datagrams<SockaddrIn>),
    V6(Datagrams<SockaddrIn6>),
}

/// A batch of one address family.
pub(super) struct Datagrams<S> {
    receive_headers: MultiHeaders<S>,
    send_headers: MultiHeaders<S>,
    queries: Box<[[u8; QUERY_MAX]; BATCH]>,
    responses: Box<[[u8; UDP_SIZE as usize]; BATCH]>,
    /// For each query: its length, its source, and the local address that it was sent to.
    received: Vec<(usize, Option<S>, Option<Local>)>,
    /// For each response to send: its index in `responses`, its length, and the local address to send it from.
    to_send: Vec<(usize, usize, Option<Local>)>,
    /// For each response to send: its destination.
    peers: Vec<Option<S>>,
}

/// A socket address of one family, in the kernel's format.
pub(super) trait Address: SockaddrLike + Copy + Into<SocketAddr> {}

impl<S: SockaddrLike + Copy + Into<SocketAddr>> Address for S {}

/// The local address that a query was sent to.
#[derive(Clone, Copy)]
enum Local {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

impl Batch {
    pub(super) fn new(socket: &Socket) -> Self {
        if socket.is_ipv6 { Self::V6(Datagrams::new(socket)) } else { Self::V4(Datagrams::new(socket)) }
    }

    /// Waits for a query until the socket's read timeout, and receives all that are queued.
    pub(super) fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::V4(datagrams) => datagrams.receive(socket),
            Self::V6(datagrams) => datagrams.receive(socket),
        }
    }

    /// The number of queries that were received.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::V4(datagrams) => datagrams.received.len(),
            Self::V6(datagrams) => datagrams.received.len(),
        }
    }

    /// Calls `answer` for each query, with its source and a buffer for the response. It returns the length of the response.
    pub(super) fn answer(&mut self, answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        match self {
            Self::V4(datagrams) => datagrams.answer(answer),
            Self::V6(datagrams) => datagrams.answer(answer),
        }
    }

    /// Sends the responses. One that cannot be sent is dropped: the client will retry.
    pub(super) fn send(&mut self, socket: &Socket) {
        match self {
            Self::V4(datagrams) => datagrams.send(socket),
            Self::V6(datagrams) => datagrams.send(socket),
        }
    }
}

impl<S: Address> Datagrams<S> {
    fn new(socket: &Socket) -> Self {
        let control = socket.any_address.then(|| nix::cmsg_space!(libc::in6_pktinfo));
        Self {
            receive_headers: MultiHeaders::preallocate(BATCH, control),
            send_headers: MultiHeaders::preallocate(BATCH, None),
            queries: vec![[0; QUERY_MAX]; BATCH].try_into().expect("the lengths are equal"),
            responses: vec![[0; UDP_SIZE as usize]; BATCH].try_into().expect("the lengths are equal"),
            received: Vec::with_capacity(BATCH),
            to_send: Vec::with_capacity(BATCH),
            peers: Vec::with_capacity(BATCH),
        }
    }

    fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        self.received.clear();
        let mut slices = self.queries.each_mut().map(|query| [IoSliceMut::new(query)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let messages = recvmmsg(socket.udp.as_raw_fd(), &mut self.receive_headers, slices.iter_mut(), flags, None)?;
        for message in messages {
            let local =
                if socket.any_address { message.cmsgs()?.find_map(|control| local_address(&control)) } else { None };
            // A truncated query is treated as empty, and so ignored.
            let length = if message.flags.contains(MsgFlags::MSG_TRUNC) { 0 } else { message.bytes };
            self.received.push((length, message.address, local));
        }
        Ok(())
    }

    fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        self.to_send.clear();
        self.peers.clear();
        let queries = self.received.iter().zip(self.queries.iter()).zip(self.responses.iter_mut());
        for (index, ((&(length, peer, local), query), response)) in queries.enumerate() {
            // Nothing can be sent to port 0.
            let Some(address) = peer.map(S::into).filter(|peer: &SocketAddr| peer.port() != 0) else { continue };
            if let Some(length) = answer(&query[..length], address, response) {
                self.to_send.push((index, length, local));
                self.peers.push(peer);
            }
        }
    }

    fn send(&mut self, socket: &Socket) {
        let fd = socket.udp.as_raw_fd();
        if socket.any_address {
            for ((index, length, local), peer) in self.to_send.iter().zip(&self.peers) {
                let slice = [IoSlice::new(&self.responses[*index][..*length])];
                let control = local.as_ref().map(Local::control);
                let _ = sendmsg(fd, &slice, control.as_slice(), MsgFlags::empty(), peer.as_ref());
            }
            return;
        }
        let mut done = 0;
        while let Some(left) = self.to_send.get(done..).filter(|left| !left.is_empty()) {
            let slice = |index: usize| {
                let (response, length, _) = left.get(index).copied().unwrap_or_default();
                [IoSlice::new(&self.responses[response][..length])]
            };
            let slices: [_; BATCH] = std::array::from_fn(slice);
            let (slices, peers) = (slices.iter().take(left.len()), &self.peers[done..]);
            done += match sendmmsg(fd, &mut self.send_headers, slices, peers, [], MsgFlags::empty()) {
                Ok(sent) => sent.count().max(1),
                Err(Errno::EINTR) => 0,
                // The first could not be sent.
                Err(_) => 1,
            };
        }
    }
}

impl Local {
    /// The control message that sets the source address of a response.
    fn control(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

fn local_address(message: &ControlMessageOwned) -> Option<Local> {
    match *message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            // The address only: routing chooses the interface.
            Some(Local::V4(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_addr, ipi_addr: info.ipi_addr }))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(info)),
        _ => None,
    }
}
