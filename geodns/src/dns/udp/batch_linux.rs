//! Many datagrams in one call: `recvmmsg` and `sendmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::SocketAddr;
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, recvmmsg,
    sendmmsg, sendmsg, setsockopt, sockopt,
};

use super::socket::Socket;
use super::{REQUEST_MAX, RESPONSE_MAX};

/// The most datagrams in one call. More save little and make the first wait for the last.
pub(super) const BATCH: usize = 32;

/// Questions that came together, and their answers.
pub(super) enum Batch {
    V4(Datagrams<SockaddrIn>),
    V6(Datagrams<SockaddrIn6>),
}

/// Those of one family.
pub(super) struct Datagrams<S> {
    received: MultiHeaders<S>,
    to_send: MultiHeaders<S>,
    requests: Box<[[u8; REQUEST_MAX]; BATCH]>,
    responses: Box<[[u8; RESPONSE_MAX]; BATCH]>,
    /// Of each question: its length, who asked, and at which of our addresses.
    asked: Vec<(usize, Option<S>, Option<Local>)>,
    /// Of each answer: which response it is, its length, and from which of our addresses it goes.
    answered: Vec<(usize, usize, Option<Local>)>,
    /// Where each answer goes.
    peers: Vec<Option<S>>,
}

/// An address of a family, as the kernel has it.
pub(super) trait Address: SockaddrLike + Copy + Into<SocketAddr> {}

impl<S: SockaddrLike + Copy + Into<SocketAddr>> Address for S {}

/// The address of ours that a question came to.
#[derive(Clone, Copy)]
enum Local {
    V4(libc::in_pktinfo),
    V6(libc::in6_pktinfo),
}

/// Asks to be told at which address a question came, where that is not known beforehand.
pub(super) fn prepare(socket: &Socket, address: SocketAddr) -> io::Result<()> {
    if !socket.any_address {
        return Ok(());
    }
    match address {
        SocketAddr::V4(_) => setsockopt(&socket.udp, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket.udp, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

impl Batch {
    pub(super) fn new(socket: &Socket) -> Self {
        if socket.is_ipv6 { Self::V6(Datagrams::new(socket)) } else { Self::V4(Datagrams::new(socket)) }
    }

    /// Waits for a question, for a while, and takes those that wait with it.
    pub(super) fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        match self {
            Self::V4(datagrams) => datagrams.receive(socket),
            Self::V6(datagrams) => datagrams.receive(socket),
        }
    }

    /// How many questions came together.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::V4(datagrams) => datagrams.asked.len(),
            Self::V6(datagrams) => datagrams.asked.len(),
        }
    }

    /// Has each question answered.
    pub(super) fn answer(&mut self, answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        match self {
            Self::V4(datagrams) => datagrams.answer(answer),
            Self::V6(datagrams) => datagrams.answer(answer),
        }
    }

    /// Sends the answers. One that cannot be sent is given up: who asked will ask again.
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
            received: MultiHeaders::preallocate(BATCH, control),
            to_send: MultiHeaders::preallocate(BATCH, None),
            requests: vec![[0; REQUEST_MAX]; BATCH].try_into().expect("as many as asked for"),
            responses: vec![[0; RESPONSE_MAX]; BATCH].try_into().expect("as many as asked for"),
            asked: Vec::with_capacity(BATCH),
            answered: Vec::with_capacity(BATCH),
            peers: Vec::with_capacity(BATCH),
        }
    }

    fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        self.asked.clear();
        let mut slices = self.requests.each_mut().map(|request| [IoSliceMut::new(request)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.udp.as_raw_fd(), &mut self.received, slices.iter_mut(), flags, None)?;
        for message in received {
            let local = if socket.any_address { message.cmsgs()?.find_map(|control| local(&control)) } else { None };
            // A question that was cut is none.
            let length = if message.flags.contains(MsgFlags::MSG_TRUNC) { 0 } else { message.bytes };
            self.asked.push((length, message.address, local));
        }
        Ok(())
    }

    fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        self.answered.clear();
        self.peers.clear();
        let questions = self.asked.iter().zip(self.requests.iter()).zip(self.responses.iter_mut());
        for (place, ((&(length, peer, local), request), response)) in questions.enumerate() {
            // To port 0 nothing can be sent.
            let Some(address) = peer.map(S::into).filter(|peer: &SocketAddr| peer.port() != 0) else { continue };
            if let Some(length) = answer(&request[..length], address, response) {
                self.answered.push((place, length, local));
                self.peers.push(peer);
            }
        }
    }

    fn send(&mut self, socket: &Socket) {
        let fd = socket.udp.as_raw_fd();
        if socket.any_address {
            for ((place, length, local), peer) in self.answered.iter().zip(&self.peers) {
                let slice = [IoSlice::new(&self.responses[*place][..*length])];
                let control = local.as_ref().map(Local::control);
                let _ = sendmsg(fd, &slice, control.as_slice(), MsgFlags::empty(), peer.as_ref());
            }
            return;
        }
        let mut done = 0;
        while let Some(left) = self.answered.get(done..).filter(|left| !left.is_empty()) {
            let slice = |place: usize| {
                let (response, length, _) = left.get(place).copied().unwrap_or_default();
                [IoSlice::new(&self.responses[response][..length])]
            };
            let slices: [_; BATCH] = std::array::from_fn(slice);
            let (slices, peers) = (slices.iter().take(left.len()), &self.peers[done..]);
            done += match sendmmsg(fd, &mut self.to_send, slices, peers, [], MsgFlags::empty()) {
                Ok(sent) => sent.count().max(1),
                Err(Errno::EINTR) => 0,
                // It is the first one's fault.
                Err(_) => 1,
            };
        }
    }
}

impl Local {
    /// What makes an answer go from there.
    fn control(&self) -> ControlMessage<'_> {
        match self {
            Self::V4(info) => ControlMessage::Ipv4PacketInfo(info),
            Self::V6(info) => ControlMessage::Ipv6PacketInfo(info),
        }
    }
}

fn local(message: &ControlMessageOwned) -> Option<Local> {
    match *message {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            // The address alone: through which interface is the routing's to say.
            Some(Local::V4(libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: info.ipi_addr, ipi_addr: info.ipi_addr }))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(Local::V6(info)),
        _ => None,
    }
}
