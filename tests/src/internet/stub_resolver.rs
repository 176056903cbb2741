//! Asking a resolver, as every machine does.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, Query, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType};
use tokio::net::UdpSocket;

/// How long a resolver may take, with name servers that are away.
const PATIENCE: Duration = Duration::from_secs(5);

/// What a resolver says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Whether it found out.
    pub code: ResponseCode,
    /// The addresses, in its order.
    pub addresses: Vec<IpAddr>,
    /// For how long they hold.
    pub ttl: Duration,
}

/// Asks once; `None`: nothing came back in time.
pub(super) async fn ask(resolver: IpAddr, name: &str, record_type: RecordType) -> Option<Reply> {
    let mut question = Message::query();
    question.metadata.recursion_desired = true;
    question.add_query(Query::query(format!("{name}.").parse().unwrap(), record_type));
    let any = if resolver.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any).await.unwrap();
    socket.connect(SocketAddr::new(resolver, 53)).await.unwrap();
    let answered = async {
        socket.send(&question.to_vec().unwrap()).await.ok()?;
        let mut buffer = [0; 1500];
        let length = socket.recv(&mut buffer).await.ok()?;
        let answer = Message::from_vec(&buffer[..length]).unwrap();
        assert_eq!((answer.metadata.id, answer.metadata.message_type), (question.metadata.id, MessageType::Response));
        Some(Reply::of(&answer))
    };
    tokio::time::timeout(PATIENCE, answered).await.ok().flatten()
}

impl Reply {
    fn of(answer: &Message) -> Self {
        let address = |record: &Record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        let ttl = answer.answers.iter().map(|record| record.ttl).min().unwrap_or_default();
        Self {
            code: answer.metadata.response_code,
            addresses: answer.answers.iter().filter_map(address).collect(),
            ttl: Duration::from_secs(ttl.into()),
        }
    }
}
