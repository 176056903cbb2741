//! One question to one name server.

use std::io::{Error, ErrorKind, Result};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hickory_resolver::proto::op::Message;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

/// The largest response over UDP (RFC 1035 §4.2.1, RFC 6891 §6.2.3).
const UDP_MAX: usize = 65_535;

/// Sends `query` over UDP, and over TCP if the response is truncated. Each may take as long as `timeout`.
pub(super) async fn exchange(server: SocketAddr, query: &Message, timeout: Duration) -> Result<Message> {
    let bytes = query.to_vec().map_err(Error::other)?;
    let response = tokio::time::timeout(timeout, over_udp(server, query, &bytes)).await??;
    if response.metadata.truncation {
        return tokio::time::timeout(timeout, over_tcp(server, query, &bytes)).await?;
    }
    Ok(response)
}

/// From a random port, with a random number: what does not match is not the response (RFC 5452 §9).
async fn over_udp(server: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message> {
    let local: IpAddr = if server.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((local, 0)).await?;
    socket.connect(server).await?;
    socket.send(bytes).await?;
    let mut buffer = vec![0; UDP_MAX];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if let Ok(response) = Message::from_vec(&buffer[..length])
            && is_response(&response, query)
        {
            return Ok(response);
        }
    }
}

/// Each message is preceded by its length (RFC 1035 §4.2.2).
async fn over_tcp(server: SocketAddr, query: &Message, bytes: &[u8]) -> Result<Message> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(bytes.len()).map_err(Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), bytes].concat()).await?;
    let mut buffer = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut buffer).await?;
    let response = Message::from_vec(&buffer).map_err(Error::other)?;
    if is_response(&response, query) { Ok(response) } else { Err(ErrorKind::InvalidData.into()) }
}

fn is_response(response: &Message, query: &Message) -> bool {
    response.metadata.id == query.metadata.id && response.queries == query.queries
}
