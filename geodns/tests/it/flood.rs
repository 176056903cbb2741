//! A hundred thousand malformed packets, and real queries meanwhile. The server is a separate process, so that its memory can be
//! measured.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tempfile::TempDir;
use verge_test_kit::{FakeOrigin, TOKEN, until};

use super::answer::Answer;
use super::query::query;
use super::random::Random;
use super::tcp::framed;
use super::world::{FRA, NYC, populate, zones};

/// A name server as operators run it.
struct Process {
    child: Child,
    folder: TempDir,
    dns: SocketAddr,
}

impl Process {
    async fn start(origin: &FakeOrigin) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let mut config = format!(
            "name = 'ns-1'\norigins = ['{}']\ntoken = '{TOKEN}'\ndata = '{}'\nlisten = '127.0.0.1:0'\n\
             private_listen = '127.0.0.1:0'\nworkers = 2\n",
            origin.url(),
            path("data").display()
        );
        for zone in zones(folder.path()) {
            let (name, file, sites) = (zone.name, zone.file.display(), zone.sites);
            writeln!(config, "[[zones]]\nname = '{name}'\nfile = '{file}'\nsites = {sites}").unwrap();
        }
        config.push_str("[locations]\n'192.0.2.0/24' = '52.52,13.40'\n");
        std::fs::write(path("geodns.toml"), config).unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_verge-geodns"))
            .args(["--log-format", "json", "--config"])
            .arg(path("geodns.toml"))
            .stderr(std::fs::File::create(path("log")).unwrap())
            .spawn()
            .unwrap();
        let mut process = Self { child, folder, dns: "0.0.0.0:0".parse().unwrap() };
        until("the name server to listen", async || {
            let log = process.log();
            let address = log.split_once(r#""dns":"["#).and_then(|(_, rest)| rest.split_once(']'));
            if let Some((address, _)) = address {
                process.dns = address.parse().unwrap();
            }
            address.is_some()
        })
        .await;
        let ready = query("demo.example.com A");
        until("the feed to be followed", async || super::world::udp(process.dns, &ready).await.rcode() == "NOERROR")
            .await;
        process
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap()
    }

    /// Its resident memory, in KiB.
    fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        resident.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    /// Stops it with SIGTERM.
    fn stop(mut self) {
        assert!(self.child.try_wait().unwrap().is_none(), "{}", self.log());
        assert!(Command::new("kill").arg(self.child.id().to_string()).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        let log = self.log();
        assert!(!log.contains("panicked"), "{log}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The queries that packets are made from.
fn questions() -> Vec<Vec<u8>> {
    let names = [
        "demo.example.com A",
        "www.example.com A",
        "a.wild.example.com TXT",
        "large.example.com TXT",
        ". NS",
        "wider.example.com A",
        "chain-1.example.com AAAA",
        "nowhere.example.com MX",
        "example.com ANY",
        "sub.example.com DS",
    ];
    let mut questions = Vec::new();
    for name in names {
        let plain = query(name);
        questions.push(plain.bytes());
        questions.push(plain.clone().edns(1232).dnssec_ok().bytes());
        questions.push(plain.clone().subnet("192.0.2.0/24").option(3, b"").bytes());
        questions.push(plain.subnet("2001:db8:1::/56").option(10, b"12345678").bytes());
    }
    questions
}

/// One of `questions` with up to four random changes; never empty.
fn mutated(questions: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut packet = random.choose(questions).clone();
    for _ in 0..random.below(5) {
        let at = random.below(packet.len());
        match random.below(7) {
            0 | 1 => packet[at] ^= 1 << random.below(8),
            2 => packet[at] = random.byte(),
            3 => packet[at] = *random.choose(&[0, 1, 0x3f, 0x40, 0xc0, 0xff]),
            4 => packet.truncate(at.max(1)),
            5 => packet.extend((0..random.below(60)).map(|_| random.byte()).collect::<Vec<_>>()),
            _ => {
                let piece = packet[at..].to_vec();
                packet.extend(piece);
            }
        }
    }
    packet
}

/// Whether a packet must get a response: it has the header of a query.
fn is_answered(packet: &[u8]) -> bool {
    packet.len() >= 12 && packet[2] & 0x80 == 0
}

/// The longest query that is read over UDP, in bytes.
const REQUEST_MAX: usize = 1232;

/// Sends `count` packets. Each that must get a response gets it, with its id, and no other does.
fn flood(server: SocketAddr, count: usize, seed: u64) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    socket.connect(server).unwrap();
    let (questions, mut random, mut id) = (questions(), Random::new(seed), 0_u16);
    let (mut buffer, mut answered) = ([0; 4096], 0);
    for _ in 0..count / 50 {
        let mut expected = BTreeMap::new();
        for _ in 0..50 {
            let mut packet = mutated(&questions, &mut random);
            id = id.wrapping_add(1);
            let place = packet.len().min(2);
            packet[..place].copy_from_slice(&id.to_be_bytes()[..place]);
            socket.send(&packet).unwrap();
            if is_answered(&packet) && packet.len() <= REQUEST_MAX {
                expected.insert(id, packet);
            }
        }
        id = id.wrapping_add(1);
        // Queries from one port are answered in order, so this response comes last.
        socket.send(&query("www.example.com A").id(id).bytes()).unwrap();
        loop {
            let length = socket.recv(&mut buffer).unwrap();
            let answer = Answer::of(buffer[..length].to_vec());
            if answer.id() == id {
                assert_eq!(answer.rcode(), "NOERROR");
                break;
            }
            answered += 1;
            let packet =
                expected.remove(&answer.id()).unwrap_or_else(|| panic!("unexpected response: {:02x?}", answer.bytes));
            assert!(length <= REQUEST_MAX);
            assert_ne!(answer.rcode(), "SERVFAIL", "{packet:02x?}");
        }
        assert!(expected.is_empty(), "unanswered: {:02x?}", expected.values().collect::<Vec<_>>());
    }
    assert!(answered > count / 3 && answered < count, "{answered}");
}

/// The same over TCP, where a packet that gets no response closes the connection.
fn flood_over_tcp(server: SocketAddr, count: usize) {
    let connect = || {
        let stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    };
    let (questions, mut random) = (questions(), Random::new(3));
    let (mut stream, mut closed) = (connect(), 0);
    for number in 0..count {
        let packet = mutated(&questions, &mut random);
        if number % 20 == 19 {
            // A wrong length, and a client that disconnects.
            let mut lie = framed(&packet);
            lie[0] ^= random.byte();
            stream.write_all(&lie).unwrap();
            stream = connect();
            continue;
        }
        stream.write_all(&framed(&packet)).unwrap();
        let mut length = [0; 2];
        let read = stream.read_exact(&mut length);
        assert_eq!(read.is_ok(), is_answered(&packet), "{packet:02x?}");
        if read.is_err() {
            closed += 1;
            stream = connect();
            continue;
        }
        let mut message = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut message).unwrap();
        let answer = Answer::of(message);
        assert_eq!(answer.id().to_be_bytes(), packet[..2]);
    }
    assert!(closed > count / 20 && closed < count / 2, "{closed}");
}

/// Sends the same query until `stop`, with up to three attempts each, as a resolver does. Returns the number of answers.
fn ask(server: SocketAddr, stop: &AtomicBool) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
    socket.connect(server).unwrap();
    let (mut buffer, mut id) = ([0; 1232], 0_u16);
    let mut asked = 0;
    while !stop.load(Ordering::SeqCst) {
        id = id.wrapping_add(1);
        let question = query("demo.example.com A").id(id).subnet("192.0.2.0/24").bytes();
        let answer = (0..3).find_map(|_| {
            socket.send(&question).unwrap();
            let length = socket.recv(&mut buffer).ok()?;
            Some(Answer::of(buffer[..length].to_vec())).filter(|answer| answer.id() == id)
        });
        let named: Vec<String> = answer.expect("an answer").addresses().iter().map(ToString::to_string).collect();
        assert_eq!(named, [FRA, NYC]);
        asked += 1;
    }
    asked
}

/// By how many KiB the process may grow: about ten bytes for each packet.
const GROWTH: u64 = 1024;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flood_of_malformed_packets_does_not_affect_other_clients() {
    let mut origin = FakeOrigin::start().await;
    populate(&origin);
    let process = Process::start(&origin).await;
    let server = process.dns;
    let stop = Arc::new(AtomicBool::new(false));
    let resolver = {
        let stop = Arc::clone(&stop);
        tokio::task::spawn_blocking(move || ask(server, &stop))
    };
    let blocking = async |flood: Box<dyn FnOnce() + Send>| tokio::task::spawn_blocking(flood).await;
    // A warm-up, which loads code and allocates buffers and threads.
    let mut flooded = blocking(Box::new(move || flood(server, 5_000, 1))).await;
    flooded = flooded.and(blocking(Box::new(move || flood_over_tcp(server, 400))).await);
    let before = process.memory();
    flooded = flooded.and(blocking(Box::new(move || flood(server, 100_000, 2))).await);
    flooded = flooded.and(blocking(Box::new(move || flood_over_tcp(server, 2_000))).await);
    stop.store(true, Ordering::SeqCst);
    let asked = resolver.await;
    flooded.unwrap();
    assert!(asked.unwrap() > 1_000);
    let growth = process.memory().saturating_sub(before);
    assert!(growth <= GROWTH, "{growth} KiB more than {before}");
    process.stop();
    origin.go_offline().await;
}
