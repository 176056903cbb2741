//! One datagram at a time, for systems that have no call for many.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::socket::Socket;
use super::{REQUEST_MAX, RESPONSE_MAX};

/// The most datagrams in one call.
pub(super) const BATCH: usize = 1;

/// A question and its answer.
pub(super) struct Batch {
    request: [u8; REQUEST_MAX],
    response: [u8; RESPONSE_MAX],
    asked: (usize, SocketAddr),
    answered: Option<usize>,
}

impl Batch {
    pub(super) fn new(_socket: &Socket) -> Self {
        let nobody = (IpAddr::from([0; 4]), 0).into();
        Self { request: [0; REQUEST_MAX], response: [0; RESPONSE_MAX], asked: (0, nobody), answered: None }
    }

    /// Waits for a question, for a while.
    pub(super) fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        self.asked = socket.udp.recv_from(&mut self.request)?;
        Ok(())
    }

    /// How many questions came together.
    #[expect(clippy::unused_self, reason = "as where there may be several")]
    pub(super) fn len(&self) -> usize {
        BATCH
    }

    /// Has it answered.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        let (length, peer) = self.asked;
        self.answered = answer(&self.request[..length], peer, &mut self.response);
    }

    /// Sends the answer. One that cannot be sent is given up: who asked will ask again.
    pub(super) fn send(&mut self, socket: &Socket) {
        if let Some(length) = self.answered.take() {
            let _ = socket.udp.send_to(&self.response[..length], self.asked.1);
        }
    }
}
