//! A stub resolver: sends a query to a recursive resolver, as client machines do.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;

/// How long a resolver may take, which first waits for name servers that are down.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The response of a resolver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DnsResponse {
    /// The response code.
    pub code: ResponseCode,
    /// The addresses, in the order of the answer section.
    pub addresses: Vec<IpAddr>,
    /// The lowest TTL of the answer section; zero if it is empty.
    pub ttl: Duration,
}

/// Sends one query; `None`: no response within five seconds.
pub(super) async fn query(resolver: IpAddr, name: &str, record_type: RecordType) -> Option<DnsResponse> {
    let mut query = Message::query();
    query.metadata.recursion_desired = true;
    query.add_query(Query::query(format!("{name}.").parse().unwrap(), record_type));
    let unspecified = if resolver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(unspecified).await.unwrap();
    socket.connect(SocketAddr::new(resolver, 53)).await.unwrap();
    let exchange = async {
        socket.send(&query.to_vec().unwrap()).await.ok()?;
        let mut buffer = [0; 1500];
        let length = socket.recv(&mut buffer).await.ok()?;
        let response = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!((response.metadata.id, response.metadata.message_type), (query.metadata.id, MessageType::Response));
        Some(DnsResponse::from_message(&response))
    };
    tokio::time::timeout(TIMEOUT, exchange).await.ok().flatten()
}

impl DnsResponse {
    fn from_message(response: &Message) -> Self {
        let address = |record: &Record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let ttl = response.answers.iter().map(|record| record.ttl).min().unwrap_or_default();
        Self {
            code: response.metadata.response_code,
            addresses: response.answers.iter().filter_map(address).collect(),
            ttl: Duration::from_secs(ttl.into()),
        }
    }
}
