//! The connection of one client.

use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_util::bytes::BytesMut;
use tokio_util::codec::{Decoder as _, LengthDelimitedCodec};
use tokio_util::sync::CancellationToken;

use super::idle_connections::{IdleConnection, IdleConnections};
use crate::dns::transport::Answerer;

/// The bytes of the length before each message (RFC 1035 §4.2.2), and of the longest message.
const LENGTH: usize = 2;
const MESSAGE_MAX: usize = 65_535;

/// The most that is read in one call.
const READ: usize = 4096;

/// A client that reads none of its responses for this long is disconnected: others may need its place.
const WRITE_STALL_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Connection {
    stream: TcpStream,
    framing: LengthDelimitedCodec,
    received: BytesMut,
    idle_connections: IdleConnections,
    /// Set from when nothing is left to read until the next response is written: part of a query does not make it busy.
    idle: Option<IdleConnection>,
    end: CancellationToken,
}

impl Connection {
    /// Once `end` is cancelled, no query is waited for: those that have arrived are answered, then the connection is closed. While
    /// idle, it is among `idle_connections`.
    pub(super) fn new(stream: TcpStream, idle_connections: IdleConnections, end: CancellationToken) -> Self {
        let framing = LengthDelimitedCodec::builder().length_field_type::<u16>().new_codec();
        Self { stream, framing, received: BytesMut::new(), idle_connections, idle: None, end }
    }

    /// Answers one query after the other. Ends when no complete query arrives for `idle_timeout`, and when one gets no response.
    pub(super) async fn serve(
        mut self,
        peer: SocketAddr,
        idle_timeout: Duration,
        mut answerer: impl Answerer,
    ) -> io::Result<()> {
        let mut response = vec![0; LENGTH + MESSAGE_MAX];
        while let Some(query) = timeout(idle_timeout, self.read_query()).await?? {
            answerer.begin();
            let Some(length) = answerer.answer(&query, peer, &mut response[LENGTH..]) else { break };
            let prefix = u16::try_from(length).map_err(io::Error::other)?;
            response[..LENGTH].copy_from_slice(&prefix.to_be_bytes());
            self.write(&response[..LENGTH + length]).await?;
        }
        Ok(())
    }

    /// `None` if no more queries come.
    async fn read_query(&mut self) -> io::Result<Option<BytesMut>> {
        loop {
            if let Some(query) = self.framing.decode(&mut self.received)? {
                return Ok(Some(query));
            }
            if self.read().await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Reads what has arrived, or waits for it. 0 is the end.
    async fn read(&mut self) -> io::Result<usize> {
        self.received.reserve(READ);
        match self.stream.try_read_buf(&mut self.received) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
        self.idle.get_or_insert_with(|| self.idle_connections.add(self.end.clone()));
        tokio::select! {
            biased;
            read = self.stream.read_buf(&mut self.received) => read,
            () = self.end.cancelled() => self.read_unnoticed(),
        }
    }

    /// Reads bytes that have arrived and that the runtime does not know of yet. If the connection were closed without that, the
    /// client would get a reset, at which it may discard responses too.
    fn read_unnoticed(&mut self) -> io::Result<usize> {
        let mut bytes = [0; READ];
        match (&*SockRef::from(&self.stream)).read(&mut bytes) {
            Ok(length) => {
                self.received.extend_from_slice(&bytes[..length]);
                Ok(length)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            Err(error) => Err(error),
        }
    }

    async fn write(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.idle = None;
        while !bytes.is_empty() {
            let written = timeout(WRITE_STALL_TIMEOUT, self.stream.write(bytes)).await??;
            bytes = &bytes[written..];
        }
        Ok(())
    }
}
