//! Receives and sends one datagram at a time, for systems that have no call for many.

use std::io;
use std::net::{IpAddr, SocketAddr};

use super::socket::{QUERY_MAX, Socket};
use crate::dns::response::UDP_SIZE;

/// The most datagrams of one call.
pub(super) const BATCH: usize = 1;

/// A query and its response.
pub(super) struct Batch {
    query: [u8; QUERY_MAX],
    response: [u8; UDP_SIZE as usize],
    received: (usize, SocketAddr),
    response_length: Option<usize>,
}

impl Batch {
    pub(super) fn new(_socket: &Socket) -> Self {
        let unset = (IpAddr::from([0; 4]), 0).into();
        Self { query: [0; QUERY_MAX], response: [0; UDP_SIZE as usize], received: (0, unset), response_length: None }
    }

    /// Waits for a query until the socket's read timeout.
    pub(super) fn receive(&mut self, socket: &Socket) -> io::Result<()> {
        self.received = socket.udp.recv_from(&mut self.query)?;
        Ok(())
    }

    /// The number of queries that were received.
    #[expect(clippy::unused_self, reason = "the same signature as on Linux, where a batch may have several")]
    pub(super) fn len(&self) -> usize {
        BATCH
    }

    /// Calls `answer` for the query, with its source and a buffer for the response. It returns the length of the response.
    pub(super) fn answer(&mut self, mut answer: impl FnMut(&[u8], SocketAddr, &mut [u8]) -> Option<usize>) {
        let (length, peer) = self.received;
        self.response_length = answer(&self.query[..length], peer, &mut self.response);
    }

    /// Sends the response. One that cannot be sent is dropped: the client will retry.
    pub(super) fn send(&mut self, socket: &Socket) {
        if let Some(length) = self.response_length.take() {
            let _ = socket.udp.send_to(&self.response[..length], self.received.1);
        }
    }
}
