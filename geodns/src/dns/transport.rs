//! The transports of queries, and the interface to the code that answers them.

use std::net::SocketAddr;

/// How a query arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Transport {
    /// In a UDP datagram.
    Udp,
    /// On a TCP connection.
    Tcp,
}

/// Turns queries into responses. Each UDP thread and each TCP connection has its own.
pub(crate) trait Answerer: Send + 'static {
    /// Called before one or more queries are answered: does what is not needed for each of them, such as reading the clock.
    fn begin(&mut self);

    /// Writes the response to `packet` into `buffer` and returns its length; `None` if there must be no response. `buffer` must
    /// hold the longest response of the transport.
    fn answer(&mut self, packet: &[u8], peer: SocketAddr, buffer: &mut [u8]) -> Option<usize>;
}
