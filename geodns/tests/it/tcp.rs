//! Over TCP: as many questions as come, whatever the pieces they come in; within limits (RFC 7766).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

use super::answer::Answer;
use super::query::{Query, query};
use super::world::{World, patiently};

/// A resolver's connection.
pub(super) struct Connection(TcpStream);

/// A message with its length before it (RFC 1035 §4.2.2).
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

impl Connection {
    pub(super) async fn to(node: SocketAddr) -> Self {
        Self(patiently("a connection", TcpStream::connect(node)).await.unwrap())
    }

    pub(super) async fn from(address: Ipv4Addr, node: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from(address), 0).into()).unwrap();
        Self(patiently("a connection", socket.connect(node)).await.unwrap())
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        patiently("bytes to be taken", self.0.write_all(bytes)).await.unwrap();
    }

    /// The next answer; `None` if the connection was closed in place of it.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let length = patiently("an answer", self.0.read_u16()).await.ok()?;
        let mut message = vec![0; length.into()];
        patiently("an answer", self.0.read_exact(&mut message)).await.unwrap();
        Some(Answer::of(message))
    }

    pub(super) async fn ask(&mut self, query: &Query) -> Answer {
        self.send(&framed(&query.bytes())).await;
        let answer = self.next().await.unwrap();
        assert_eq!(answer.id(), query.id);
        answer
    }

    /// Whether it is still open: a question is answered.
    async fn is_open(&mut self) -> bool {
        let sent = self.0.write_all(&framed(&query("www.example.com A").bytes())).await;
        sent.is_ok() && self.next().await.is_some()
    }
}

const WWW: &str = "NOERROR aa = www 3600 A 192.0.2.80";

#[tokio::test]
async fn a_hundred_questions_in_one_write() {
    let world = World::start().await;
    let mut connection = Connection::to(world.node.dns_addr()).await;
    let names = ["www", "large", "demo", "nowhere"];
    let questions = (0..100_u16).map(|id| query(&format!("{}.example.com TXT", names[usize::from(id) % 4])).id(id));
    let bytes: Vec<u8> = questions.clone().flat_map(|question| framed(&question.bytes())).collect();
    connection.send(&bytes).await;
    for question in questions {
        let answer = connection.next().await.unwrap();
        assert_eq!(answer.id(), question.id);
        assert_eq!(&answer.bytes[12..12 + question.question().len()], question.question());
    }
    world.stop().await;
}

#[tokio::test]
async fn who_will_ask_no_more_still_gets_the_answers() {
    let world = World::start().await;
    for count in [1, 100_u16] {
        let mut connection = Connection::to(world.node.dns_addr()).await;
        let questions = (0..count).map(|id| query("huge.example.com TXT").id(id));
        let bytes: Vec<u8> = questions.flat_map(|question| framed(&question.bytes())).collect();
        connection.send(&bytes).await;
        connection.0.shutdown().await.unwrap();
        for id in 0..count {
            let answer = connection.next().await.unwrap_or_else(|| panic!("of {count} answers {id} came"));
            assert_eq!((answer.id(), answer.message.answers.len()), (id, 6));
        }
        assert!(connection.next().await.is_none());
    }
    world.stop().await;
}

#[tokio::test]
async fn a_message_comes_in_single_bytes() {
    let world = World::start().await;
    let mut connection = Connection::to(world.node.dns_addr()).await;
    connection.0.set_nodelay(true).unwrap();
    for id in 0..3 {
        for byte in framed(&query("www.example.com A").id(id).bytes()) {
            connection.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let answer = connection.next().await.unwrap();
        assert_eq!((answer.id(), answer.told().as_str()), (id, WWW));
    }
    world.stop().await;
}

#[tokio::test]
async fn garbage_behind_a_length_harms_nobody_else() {
    let world = World::start().await;
    let mut other = Connection::to(world.node.dns_addr()).await;
    let answer_itself = query("www.example.com A").flags(0x8000).bytes();
    for garbage in [&b"\0\x05abcde"[..], b"\0\0\0\x0c", b"\0\x01\xff", &framed(&answer_itself)] {
        let mut connection = Connection::to(world.node.dns_addr()).await;
        connection.send(garbage).await;
        assert!(connection.next().await.is_none(), "{garbage:?} is closed on");
    }
    // What can be taken for a question is told that it is none, and another may follow.
    let mut connection = Connection::to(world.node.dns_addr()).await;
    connection.send(&framed(&[0xff; 12].map(|byte| byte & 0x07))).await;
    assert_eq!(connection.next().await.unwrap().told(), "FORMERR");
    assert_eq!(connection.ask(&query("www.example.com A")).await.told(), WWW);
    // A message that breaks off.
    connection.send(b"\xff\xffabc").await;
    connection.0.shutdown().await.unwrap();
    assert!(connection.next().await.is_none());
    assert_eq!(other.ask(&query("www.example.com A")).await.told(), WWW);
    world.stop().await;
}

#[tokio::test]
async fn who_asks_nothing_is_not_waited_for() {
    let world = World::with(|config| config.tcp.idle = Duration::from_millis(300)).await;
    let node = world.node.dns_addr();
    let (mut silent, mut done) = (Connection::to(node).await, Connection::to(node).await);
    assert_eq!(done.ask(&query("www.example.com A")).await.told(), WWW);
    let mut dripping = Connection::to(node).await;
    assert!(silent.next().await.is_none() && done.next().await.is_none());
    // A byte now and then is no question.
    patiently("the connection to be closed", async {
        while dripping.0.write_all(&[1]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    world.stop().await;
}

/// Answers that nobody takes fill neither memory nor time.
#[tokio::test]
async fn who_takes_no_answers_is_cut_off() {
    let world = World::with(|config| config.tcp.idle = Duration::from_millis(300)).await;
    let mut greedy = Connection::to(world.node.dns_addr()).await;
    let questions = framed(&query("huge.example.com TXT").bytes()).repeat(100);
    patiently("the connection to be closed", async { while greedy.0.write_all(&questions).await.is_ok() {} }).await;
    assert_eq!(world.told("www.example.com A").await, WWW);
    world.stop().await;
}

#[tokio::test]
async fn one_address_has_so_many_connections() {
    let world = World::with(|config| config.tcp.per_address = 3).await;
    let node = world.node.dns_addr();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::to(node).await;
        assert!(connection.is_open().await);
        held.push(connection);
    }
    assert!(!Connection::to(node).await.is_open().await);
    assert!(Connection::from(Ipv4Addr::new(127, 0, 0, 9), node).await.is_open().await);
    for connection in &mut held {
        assert!(connection.is_open().await, "those that came first stay");
    }
    held.pop();
    patiently("room for another", async { while !Connection::to(node).await.is_open().await {} }).await;
    world.stop().await;
}

#[tokio::test]
async fn those_who_find_no_room_wait() {
    let world = World::with(|config| config.tcp.connections = 2).await;
    let node = world.node.dns_addr();
    let mut held = [Connection::to(node).await, Connection::to(node).await];
    for connection in &mut held {
        assert!(connection.is_open().await);
    }
    let mut waiting = Connection::to(node).await;
    waiting.send(&framed(&query("www.example.com A").bytes())).await;
    for connection in &mut held {
        assert!(connection.is_open().await);
    }
    drop(held);
    assert_eq!(waiting.next().await.unwrap().told(), WWW);
    world.stop().await;
}
