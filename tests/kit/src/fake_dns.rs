//! A recursive name server on loopback that gives the answers that a test sets.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_proto::op::{Message, OpCode, ResponseCode};
use hickory_proto::rr::rdata::{A, CNAME, NS, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The answer for a name. A name without one does not exist (NXDOMAIN).
#[derive(Clone)]
pub enum Answer {
    /// TXT records, each of one or more strings.
    Texts(Vec<Vec<&'static str>>),
    /// TXT records too large for UDP: the answer over UDP is truncated.
    Long(Vec<Vec<&'static str>>),
    /// The name exists, but has no TXT record.
    NoTxtRecord,
    /// A CNAME record.
    Cname(&'static str),
    /// The IPv4 address of loopback.
    Host,
    /// These IPv4 addresses.
    Addresses(Vec<Ipv4Addr>),
    /// An NS record.
    NameServer(&'static str),
    /// SERVFAIL.
    ServFail,
    /// No answer.
    Timeout,
}

/// A running name server; stops when dropped.
pub struct FakeDns {
    /// Its address, over UDP and TCP.
    pub address: SocketAddr,
    zone: Zone,
    /// The number of UDP queries for each name.
    queries: watch::Receiver<BTreeMap<String, u32>>,
    _tasks: JoinSet<()>,
}

type Zone = Arc<Mutex<BTreeMap<String, Answer>>>;

impl FakeDns {
    /// Starts one that knows no name.
    pub async fn start() -> Self {
        loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The same TCP port may be taken.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                return Self::serve(udp, tcp);
            }
        }
    }

    /// Starts another one at an address of its own, which is free.
    pub async fn start_at(address: SocketAddr) -> Self {
        Self::serve(UdpSocket::bind(address).await.unwrap(), TcpListener::bind(address).await.unwrap())
    }

    fn serve(udp: UdpSocket, tcp: TcpListener) -> Self {
        let (count, queries) = watch::channel(BTreeMap::new());
        let (address, zone) = (udp.local_addr().unwrap(), Zone::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_udp(udp, zone.clone(), count));
        tasks.spawn(serve_tcp(tcp, zone.clone()));
        Self { address, zone, queries, _tasks: tasks }
    }

    /// Sets the answer for a name, in place of an earlier one.
    pub fn set(&self, name: &str, answer: Answer) {
        self.zone.lock().unwrap().insert(name.to_owned(), answer);
    }

    /// Removes the answer for a name.
    pub fn remove(&self, name: &str) {
        self.zone.lock().unwrap().remove(name);
    }

    /// The number of UDP queries for a name.
    pub fn queries(&self, name: &str) -> u32 {
        self.queries.borrow().get(name).copied().unwrap_or_default()
    }

    /// Waits until there were so many UDP queries for a name.
    pub async fn wait_for_queries(&self, name: &str, number: u32) {
        let enough = |queries: &BTreeMap<String, u32>| queries.get(name).is_some_and(|count| *count >= number);
        let mut queries = self.queries.clone();
        let outcome = tokio::time::timeout(Duration::from_secs(30), queries.wait_for(enough)).await;
        outcome.unwrap_or_else(|_| panic!("fewer than {number} queries for {name}")).unwrap();
    }
}

async fn serve_udp(socket: UdpSocket, zone: Zone, count: watch::Sender<BTreeMap<String, u32>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let query = Message::from_vec(&buffer[..length]).unwrap();
        count.send_modify(|queries| *queries.entry(query_name(&query)).or_default() += 1);
        if let Some(answer) = answer(&query, &zone, true) {
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Zone) {
    let mut connections = JoinSet::new();
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        connections.spawn(serve_connection(connection, zone.clone()));
    }
}

/// Each message is preceded by its length (RFC 1035 §4.2.2).
async fn serve_connection(mut connection: TcpStream, zone: Zone) {
    while let Ok(length) = connection.read_u16().await {
        let mut buffer = vec![0; usize::from(length)];
        connection.read_exact(&mut buffer).await.unwrap();
        if let Some(answer) = answer(&Message::from_vec(&buffer).unwrap(), &zone, false) {
            let bytes = answer.to_vec().unwrap();
            connection.write_u16(bytes.len().try_into().unwrap()).await.unwrap();
            connection.write_all(&bytes).await.unwrap();
        }
    }
}

fn query_name(query: &Message) -> String {
    query.queries[0].name().to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn answer(request: &Message, zone: &Zone, is_udp: bool) -> Option<Message> {
    let query = request.queries[0].clone();
    let answer = zone.lock().unwrap().get(&query_name(request)).cloned();
    let mut message = Message::response(request.metadata.id, OpCode::Query);
    message.metadata.recursion_available = true;
    let mut records: Vec<RData> = Vec::new();
    let mut of_target = None;
    let text = |strings: &Vec<&str>| RData::TXT(TXT::new(strings.iter().map(ToString::to_string).collect()));
    match answer {
        None => message.metadata.response_code = ResponseCode::NXDomain,
        Some(Answer::Host) if query.query_type() == RecordType::A => records.push(RData::A(A(Ipv4Addr::LOCALHOST))),
        Some(Answer::Addresses(addresses)) if query.query_type() == RecordType::A => {
            records.extend(addresses.into_iter().map(|address| RData::A(A(address))));
        }
        Some(Answer::NameServer(server)) if query.query_type() == RecordType::NS => {
            records.push(RData::NS(NS(Name::from_ascii(format!("{server}.")).unwrap())));
        }
        Some(Answer::NoTxtRecord | Answer::Host | Answer::Addresses(_) | Answer::NameServer(_)) => {}
        Some(Answer::ServFail) => message.metadata.response_code = ResponseCode::ServFail,
        Some(Answer::Timeout) => return None,
        Some(Answer::Long(_)) if is_udp => message.metadata.truncation = true,
        Some(Answer::Texts(texts) | Answer::Long(texts)) => records.extend(texts.iter().map(text)),
        Some(Answer::Cname(target)) => {
            let name = Name::from_ascii(format!("{target}.")).unwrap();
            records.push(RData::CNAME(CNAME(name.clone())));
            // As a resolver does, which has followed it.
            match zone.lock().unwrap().get(target) {
                Some(Answer::Texts(texts)) if query.query_type() == RecordType::TXT => {
                    of_target = Some((name, texts.iter().map(text).collect::<Vec<_>>()));
                }
                None if query.query_type() != RecordType::CNAME => {
                    message.metadata.response_code = ResponseCode::NXDomain;
                }
                _ => {}
            }
        }
    }
    message.add_answers(records.into_iter().map(|data| Record::from_rdata(query.name().clone(), 300, data)));
    if let Some((name, texts)) = of_target {
        message.add_answers(texts.into_iter().map(|data| Record::from_rdata(name.clone(), 300, data)));
    }
    message.add_query(query);
    Some(message)
}
