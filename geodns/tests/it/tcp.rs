//! DNS over TCP (RFC 7766): pipelining, limits, and shutdown.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use verge_test_kit::{in_time, until};

use super::answer::Answer;
use super::query::{Query, query};
use super::world::World;

/// A client's connection.
pub(super) struct Connection(TcpStream);

/// A message after its length (RFC 1035 §4.2.2).
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    [&u16::try_from(message.len()).unwrap().to_be_bytes()[..], message].concat()
}

impl Connection {
    pub(super) async fn to(server: SocketAddr) -> Self {
        Self(in_time("a connection", TcpStream::connect(server)).await.unwrap())
    }

    pub(super) async fn from(address: Ipv4Addr, server: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((IpAddr::from(address), 0).into()).unwrap();
        Self(in_time("a connection", socket.connect(server)).await.unwrap())
    }

    pub(super) async fn send(&mut self, bytes: &[u8]) {
        in_time("bytes to be sent", self.0.write_all(bytes)).await.unwrap();
    }

    /// The next response; `None` if the connection was closed instead.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        let length = in_time("an answer", self.0.read_u16()).await.ok()?;
        let mut message = vec![0; length.into()];
        in_time("an answer", self.0.read_exact(&mut message)).await.unwrap();
        Some(Answer::of(message))
    }

    pub(super) async fn ask(&mut self, query: &Query) -> Answer {
        self.send(&framed(&query.bytes())).await;
        let answer = self.next().await.unwrap();
        assert_eq!(answer.id(), query.id);
        answer
    }

    /// Waits for the server to close the connection, which must be orderly: after all responses, and without a reset.
    async fn ends(&mut self) {
        let length = in_time("the connection to be closed", self.0.read(&mut [0])).await.unwrap();
        assert_eq!(length, 0, "the connection is closed without another response");
    }

    /// Whether it is open: a query is answered.
    async fn is_open(&mut self) -> bool {
        let sent = self.0.write_all(&framed(&query("www.example.com A").bytes())).await;
        sent.is_ok() && self.next().await.is_some()
    }
}

const WWW: &str = "NOERROR aa = www 3600 A 192.0.2.80";

#[tokio::test]
async fn pipelined_queries_are_answered_in_order() {
    let world = World::start().await;
    let mut connection = Connection::to(world.name_server.dns_addr()).await;
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
async fn half_closed_connection_gets_its_responses() {
    let world = World::start().await;
    for count in [1, 100_u16] {
        let mut connection = Connection::to(world.name_server.dns_addr()).await;
        let questions = (0..count).map(|id| query("huge.example.com TXT").id(id));
        let bytes: Vec<u8> = questions.flat_map(|question| framed(&question.bytes())).collect();
        connection.send(&bytes).await;
        connection.0.shutdown().await.unwrap();
        for id in 0..count {
            let answer = connection.next().await.unwrap_or_else(|| panic!("only {id} of {count} responses arrived"));
            assert_eq!((answer.id(), answer.message.answers.len()), (id, 6));
        }
        assert!(connection.next().await.is_none());
    }
    world.stop().await;
}

#[tokio::test]
async fn query_in_single_bytes_is_answered() {
    let world = World::start().await;
    let mut connection = Connection::to(world.name_server.dns_addr()).await;
    connection.0.set_nodelay(true).unwrap();
    for id in 0..3 {
        for byte in framed(&query("www.example.com A").id(id).bytes()) {
            connection.send(&[byte]).await;
            tokio::task::yield_now().await;
        }
        let answer = connection.next().await.unwrap();
        assert_eq!((answer.id(), answer.text().as_str()), (id, WWW));
    }
    world.stop().await;
}

#[tokio::test]
async fn malformed_message_closes_only_its_own_connection() {
    let world = World::start().await;
    let mut other = Connection::to(world.name_server.dns_addr()).await;
    let answer_itself = query("www.example.com A").flags(0x8000).bytes();
    for garbage in [&b"\0\x05abcde"[..], b"\0\0\0\x0c", b"\0\x01\xff", &framed(&answer_itself)] {
        let mut connection = Connection::to(world.name_server.dns_addr()).await;
        connection.send(garbage).await;
        assert!(connection.next().await.is_none(), "{garbage:?} closes the connection");
    }
    // A malformed query with a complete header is answered, and the connection stays open.
    let mut connection = Connection::to(world.name_server.dns_addr()).await;
    connection.send(&framed(&[0xff; 12].map(|byte| byte & 0x07))).await;
    assert_eq!(connection.next().await.unwrap().text(), "FORMERR");
    assert_eq!(connection.ask(&query("www.example.com A")).await.text(), WWW);
    // An incomplete message.
    connection.send(b"\xff\xffabc").await;
    connection.0.shutdown().await.unwrap();
    assert!(connection.next().await.is_none());
    assert_eq!(other.ask(&query("www.example.com A")).await.text(), WWW);
    world.stop().await;
}

#[tokio::test]
async fn idle_and_slow_clients_are_disconnected() {
    let world = World::with(|config| config.tcp.idle = Duration::from_millis(300)).await;
    let server = world.name_server.dns_addr();
    let (mut silent, mut done) = (Connection::to(server).await, Connection::to(server).await);
    assert_eq!(done.ask(&query("www.example.com A")).await.text(), WWW);
    let mut dripping = Connection::to(server).await;
    assert!(silent.next().await.is_none() && done.next().await.is_none());
    // Single bytes do not keep a connection open.
    in_time("the connection to be closed", async {
        while dripping.0.write_all(&[1]).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    world.stop().await;
}

/// Responses that the client does not read must not accumulate.
#[tokio::test]
async fn client_that_reads_no_responses_is_disconnected() {
    let world = World::with(|config| config.tcp.idle = Duration::from_millis(300)).await;
    let mut greedy = Connection::to(world.name_server.dns_addr()).await;
    let questions = framed(&query("huge.example.com TXT").bytes()).repeat(100);
    in_time("the connection to be closed", async { while greedy.0.write_all(&questions).await.is_ok() {} }).await;
    assert_eq!(world.answer_text("www.example.com A").await, WWW);
    world.stop().await;
}

#[tokio::test]
async fn connections_of_one_address_are_limited() {
    let world = World::with(|config| config.tcp.per_address = 3).await;
    let server = world.name_server.dns_addr();
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut connection = Connection::to(server).await;
        assert!(connection.is_open().await);
        held.push(connection);
    }
    assert!(!Connection::to(server).await.is_open().await);
    assert!(Connection::from(Ipv4Addr::new(127, 0, 0, 9), server).await.is_open().await);
    for connection in &mut held {
        assert!(connection.is_open().await, "the first connections stay open");
    }
    held.pop();
    in_time("room for another", async { while !Connection::to(server).await.is_open().await {} }).await;
    world.stop().await;
}

/// RFC 7766 §6.2.3. A connection with an incomplete query is idle.
#[tokio::test]
async fn connection_idle_longest_is_evicted() {
    let world = World::with(|config| config.tcp.connections = 3).await;
    let server = world.name_server.dns_addr();
    let mut silent = Connection::to(server).await;
    let mut held = [Connection::to(server).await, Connection::to(server).await];
    for connection in &mut held {
        assert!(connection.is_open().await);
    }
    let mut third = Connection::to(server).await;
    assert_eq!(third.ask(&query("www.example.com A")).await.text(), WWW);
    silent.ends().await;
    // The first sends another query, the second only a part of one.
    assert!(held[0].is_open().await);
    held[1].send(b"\0").await;
    let mut fourth = Connection::to(server).await;
    assert_eq!(fourth.ask(&query("www.example.com A")).await.text(), WWW);
    held[1].ends().await;
    for connection in [&mut third, &mut held[0], &mut fourth] {
        assert!(connection.is_open().await, "the others stay open");
    }
    world.stop().await;
}

#[tokio::test]
async fn busy_connection_is_not_evicted() {
    let world = World::with(|config| config.tcp.connections = 1).await;
    let server = world.name_server.dns_addr();
    let socket = TcpSocket::new_v4().unwrap();
    // All queries fit into the system's buffers, but only a small part of the responses.
    socket.set_send_buffer_size(1 << 20).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut busy = Connection(in_time("a connection", socket.connect(server)).await.unwrap());
    let count = 3000;
    busy.send(&framed(&query("huge.example.com TXT").bytes()).repeat(count)).await;
    until("the first answers", async || world.count("verge_dns_tcp_total").await > 10).await;
    let mut newcomer = Connection::to(server).await;
    newcomer.send(&framed(&query("www.example.com A").bytes())).await;
    for number in 0..count {
        assert!(busy.next().await.is_some(), "only {number} of {count} responses arrived");
    }
    // Now that it has all responses, it is idle, and is evicted for the new connection.
    busy.ends().await;
    assert_eq!(newcomer.next().await.unwrap().text(), WWW);
    world.stop().await;
}

/// RFC 7766 §6.2.4: received queries are answered, then connections are closed.
#[tokio::test]
async fn received_queries_are_answered_at_shutdown() {
    let world = World::start().await;
    let server = world.name_server.dns_addr();
    let mut connections = Vec::new();
    for _ in 0..4 {
        let mut connection = Connection::to(server).await;
        assert!(connection.is_open().await);
        connections.push(connection);
    }
    let [idle, half, one, many] = &mut connections[..] else { panic!("four") };
    let questions = |count| (0..count).flat_map(|id| framed(&query("huge.example.com TXT").id(id).bytes()));
    half.send(&questions(2).take(100).collect::<Vec<_>>()).await;
    one.send(&questions(1).collect::<Vec<_>>()).await;
    many.send(&questions(500).collect::<Vec<_>>()).await;
    let responses = async {
        idle.ends().await;
        let length = questions(1).count();
        for (connection, count) in [(half, 100 / length), (one, 1), (many, 500)] {
            for id in 0..count {
                let answer =
                    connection.next().await.unwrap_or_else(|| panic!("only {id} of {count} responses arrived"));
                assert_eq!((usize::from(answer.id()), answer.message.answers.len()), (id, 6));
            }
            connection.ends().await;
        }
    };
    tokio::join!(world.stop(), responses);
    assert!(TcpStream::connect(server).await.is_err(), "the port is closed");
}

#[tokio::test]
async fn client_that_reads_no_responses_makes_room_for_another() {
    let world = World::with(|config| {
        config.tcp.connections = 1;
        config.tcp.idle = Duration::from_hours(1);
    })
    .await;
    let server = world.name_server.dns_addr();
    let mut greedy = Connection::to(server).await;
    let questions = framed(&query("huge.example.com TXT").bytes()).repeat(100);
    let flood = async { while greedy.0.write_all(&questions).await.is_ok() {} };
    let newcomer = async {
        until("the first answers", async || world.count("verge_dns_tcp_total").await > 10).await;
        assert_eq!(Connection::to(server).await.ask(&query("www.example.com A")).await.text(), WWW);
    };
    tokio::join!(flood, newcomer);
    world.stop().await;
}

#[tokio::test]
async fn client_that_reads_no_responses_does_not_delay_shutdown() {
    let world = World::with(|config| config.tcp.idle = Duration::from_hours(1)).await;
    let server = world.name_server.dns_addr();
    let (mut greedy, mut done) = (Connection::to(server).await, Connection::to(server).await);
    assert!(done.is_open().await);
    let questions = framed(&query("huge.example.com TXT").bytes()).repeat(100);
    let flood = async { while greedy.0.write_all(&questions).await.is_ok() {} };
    let end = async {
        until("the first answers", async || world.count("verge_dns_tcp_total").await > 10).await;
        tokio::join!(world.stop(), done.ends());
    };
    tokio::join!(flood, end);
}
