//! Many datagrams in one call: `recvmmsg` and `sendmmsg`.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd as _;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrStorage, recvmmsg, sendmmsg, sendmsg,
    setsockopt, sockopt,
};

use super::socket::Socket;
use super::{REQUEST_MAX, RESPONSE_MAX};

/// The most datagrams in one call. More save little and make the first wait for the last.
const BATCH: usize = 32;

/// Questions that came together, and their answers.
pub(super) struct Batch {
    received: MultiHeaders<SockaddrStorage>,
    to_send: MultiHeaders<SockaddrStorage>,
    requests: Box<[[u8; REQUEST_MAX]; BATCH]>,
    responses: Box<[[u8; RESPONSE_MAX]; BATCH]>,
    /// Of each question: its length, who asked, and at which of our addresses.
    asked: Vec<(usize, SocketAddr, Option<Local>)>,
    /// Of each answer: which response it is, its length, and where it goes from and to.
    answered: Vec<(usize, usize, SockaddrStorage, Option<Local>)>,
}

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
        SocketAddr::V4(_) => setsockopt(&socket.socket, sockopt::Ipv4PacketInfo, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket.socket, sockopt::Ipv6RecvPacketInfo, &true)?,
    }
    Ok(())
}

impl Batch {
    pub(super) fn new(any_address: bool) -> Self {
        let control = any_address.then(|| nix::cmsg_space!(libc::in6_pktinfo));
        Self {
            received: MultiHeaders::preallocate(BATCH, control),
            to_send: MultiHeaders::preallocate(BATCH, None),
            requests: vec![[0; REQUEST_MAX]; BATCH].try_into().expect("as many as asked for"),
            responses: vec![[0; RESPONSE_MAX]; BATCH].try_into().expect("as many as asked for"),
            asked: Vec::with_capacity(BATCH),
            answered: Vec::with_capacity(BATCH),
        }
    }

    /// Waits for a question, for a while, and takes those that wait with it.
    pub(super) fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        self.asked.clear();
        let mut slices = self.requests.each_mut().map(|request| [IoSliceMut::new(request)]);
        let flags = MsgFlags::MSG_WAITFORONE;
        let received = recvmmsg(socket.socket.as_raw_fd(), &mut self.received, slices.iter_mut(), flags, None)?;
        for message in received {
            let local = if socket.any_address { message.cmsgs()?.find_map(|control| local(&control)) } else { None };
            let peer = message.address.as_ref().and_then(peer);
            // Somebody without an address, or with port 0, cannot be answered: a length of 0 is passed over.
            let length = if message.flags.contains(MsgFlags::MSG_TRUNC) { 0 } else { message.bytes };
            match peer.filter(|peer| peer.port() != 0) {
                Some(peer) => self.asked.push((length, peer, local)),
                None => self.asked.push((0, (IpAddr::from([0; 4]), 0).into(), None)),
            }
        }
        Ok(())
    }

    /// Has each question answered.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        self.answered.clear();
        let questions = self.asked.iter().zip(self.requests.iter()).zip(self.responses.iter_mut());
        for (place, ((&(length, peer, local), request), response)) in questions.enumerate() {
            if length == 0 {
                continue;
            }
            if let Some(length) = answer(&request[..length], peer, response) {
                self.answered.push((place, length, peer.into(), local));
            }
        }
    }

    /// Sends the answers. One that cannot be sent is given up: who asked will ask again.
    pub(super) fn send(&mut self, socket: &Socket) {
        let fd = socket.socket.as_raw_fd();
        if socket.any_address {
            for (place, length, peer, local) in &self.answered {
                let slice = [IoSlice::new(&self.responses[*place][..*length])];
                let control = local.as_ref().map(Local::control);
                let _ = sendmsg(fd, &slice, control.as_slice(), MsgFlags::empty(), Some(peer));
            }
            return;
        }
        let mut left = &self.answered[..];
        while !left.is_empty() {
            let slices: Vec<_> =
                left.iter().map(|(place, length, ..)| [IoSlice::new(&self.responses[*place][..*length])]).collect();
            let peers: Vec<_> = left.iter().map(|(_, _, peer, _)| Some(*peer)).collect();
            let sent = match sendmmsg(fd, &mut self.to_send, slices.iter(), &peers, [], MsgFlags::empty()) {
                Ok(sent) => sent.count(),
                Err(Errno::EINTR) => continue,
                // It is the first one's fault.
                Err(_) => 1,
            };
            left = &left[sent.clamp(1, left.len())..];
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

fn peer(address: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = address.as_sockaddr_in() {
        return Some((address.ip(), address.port()).into());
    }
    let address = address.as_sockaddr_in6()?;
    Some(std::net::SocketAddrV6::new(address.ip(), address.port(), 0, address.scope_id()).into())
}
