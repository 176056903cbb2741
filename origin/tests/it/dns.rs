//! A name server on this machine that says what it is told to say.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hickory_resolver::proto::op::{Message, OpCode, ResponseCode};
use hickory_resolver::proto::rr::rdata::{CNAME, TXT};
use hickory_resolver::proto::rr::{Name, RData, Record};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What there is at a name. At a name of which nothing was said, there is none.
#[derive(Clone)]
pub(super) enum Answer {
    /// TXT records, each of one string or more.
    Texts(Vec<Vec<&'static str>>),
    /// The same, too long for a datagram.
    Long(Vec<Vec<&'static str>>),
    /// A name, but no TXT record.
    NoText,
    /// An alias.
    Alias(&'static str),
    /// A failure of the server.
    Failure,
    /// Nothing at all.
    Silence,
}

/// A running name server; stopped when dropped.
pub(super) struct Dns {
    pub(super) address: SocketAddr,
    zone: Zone,
    /// How often it was asked for each name.
    asked: watch::Receiver<BTreeMap<String, u32>>,
    _tasks: JoinSet<()>,
}

type Zone = Arc<Mutex<BTreeMap<String, Answer>>>;

impl Dns {
    pub(super) async fn start() -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
            // The same port may be taken for the other protocol.
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()).await {
                break (udp, tcp);
            }
        };
        let (count, asked) = watch::channel(BTreeMap::new());
        let (address, zone) = (udp.local_addr().unwrap(), Zone::default());
        let mut tasks = JoinSet::new();
        tasks.spawn(serve_datagrams(udp, zone.clone(), count));
        tasks.spawn(serve_connections(tcp, zone.clone()));
        Self { address, zone, asked, _tasks: tasks }
    }

    pub(super) fn say(&self, name: &str, answer: Answer) {
        self.zone.lock().unwrap().insert(name.to_owned(), answer);
    }

    pub(super) fn forget(&self, name: &str) {
        self.zone.lock().unwrap().remove(name);
    }

    /// How often it was asked for a name.
    pub(super) fn asked(&self, name: &str) -> u32 {
        self.asked.borrow().get(name).copied().unwrap_or_default()
    }

    /// Waits until it has been asked for a name so often.
    pub(super) async fn until_asked(&self, name: &str, times: u32) {
        let enough = |asked: &BTreeMap<String, u32>| asked.get(name).is_some_and(|count| *count >= times);
        let mut asked = self.asked.clone();
        let asking = asked.wait_for(enough);
        let asked = tokio::time::timeout(Duration::from_secs(30), asking).await;
        asked.unwrap_or_else(|_| panic!("not asked {times} times for {name}")).unwrap();
    }
}

async fn serve_datagrams(socket: UdpSocket, zone: Zone, count: watch::Sender<BTreeMap<String, u32>>) {
    let mut buffer = [0; 4096];
    loop {
        let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
        let question = Message::from_vec(&buffer[..length]).unwrap();
        count.send_modify(|asked| *asked.entry(name_in(&question)).or_default() += 1);
        if let Some(answer) = answer(&question, &zone, true) {
            socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
        }
    }
}

async fn serve_connections(listener: TcpListener, zone: Zone) {
    let mut connections = JoinSet::new();
    loop {
        let (connection, _) = listener.accept().await.unwrap();
        connections.spawn(serve_connection(connection, zone.clone()));
    }
}

/// Each message follows its length (RFC 1035 §4.2.2).
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

fn name_in(question: &Message) -> String {
    question.queries[0].name().to_ascii().trim_end_matches('.').to_ascii_lowercase()
}

fn answer(question: &Message, zone: &Zone, datagram: bool) -> Option<Message> {
    let query = question.queries[0].clone();
    let said = zone.lock().unwrap().get(&name_in(question)).cloned();
    let mut message = Message::response(question.metadata.id, OpCode::Query);
    message.metadata.recursion_available = true;
    let mut records: Vec<RData> = Vec::new();
    let text = |strings: &Vec<&str>| RData::TXT(TXT::new(strings.iter().map(ToString::to_string).collect()));
    match said {
        None => message.metadata.response_code = ResponseCode::NXDomain,
        Some(Answer::NoText) => {}
        Some(Answer::Failure) => message.metadata.response_code = ResponseCode::ServFail,
        Some(Answer::Silence) => return None,
        Some(Answer::Long(_)) if datagram => message.metadata.truncation = true,
        Some(Answer::Texts(texts) | Answer::Long(texts)) => records.extend(texts.iter().map(text)),
        Some(Answer::Alias(target)) => {
            records.push(RData::CNAME(CNAME(Name::from_ascii(format!("{target}.")).unwrap())));
        }
    }
    message.add_answers(records.into_iter().map(|data| Record::from_rdata(query.name().clone(), 300, data)));
    message.add_query(query);
    Some(message)
}
