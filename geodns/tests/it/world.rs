//! A fake origin, a name server that follows it, and a DNS client. Checks at the end that no task is left.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use reqwest::Client;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::UdpSocket;
use verge_daemon::Secret;
use verge_geodns::config::ZoneConfig;
use verge_geodns::{Config, GeoDns};
use verge_protocol::Digest;
use verge_protocol::explanation::Explanation;
use verge_test_kit::{FakeOrigin, STUCK, TOKEN, in_time, until};

use super::answer::Answer;
use super::query::{Query, query};
use super::tcp::Connection;

pub(super) struct World {
    pub(super) origin: FakeOrigin,
    pub(super) name_server: GeoDns,
    pub(super) folder: TempDir,
    pub(super) config: Config,
    client: Client,
}

/// The addresses of the edges of most tests, in Frankfurt, New York and Singapore. Nothing listens there, and nothing that is sent
/// to them leaves the machine.
pub(super) const FRA: &str = "127.0.1.1";
pub(super) const NYC: &str = "127.0.1.2";
pub(super) const SIN: &str = "127.0.1.3";

/// Location overrides: clients in Berlin, Boston and Bangkok.
pub(super) const LOCATIONS: [(&str, &str); 6] = [
    ("192.0.2.0/24", "52.52,13.40"),
    ("198.51.100.0/24", "42.36,-71.06"),
    ("203.0.113.0/24", "13.76,100.50"),
    ("2001:db8:1::/48", "52.52,13.40"),
    ("2001:db8:2::/48", "42.36,-71.06"),
    // Resolvers that send no client subnet.
    ("127.0.0.0/24", "52.52,13.40"),
];

impl World {
    /// The zones of the two files, three edges that are forced up, and a site, `demo`, at its own name, at the apex, and at a
    /// domain below an empty non-terminal.
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// The same with other settings.
    pub(super) async fn with(adjust: impl FnOnce(&mut Config)) -> Self {
        let world = Self::empty(adjust).await;
        populate(&world.origin);
        world.synced().await;
        world
    }

    /// Only the zones.
    pub(super) async fn empty(adjust: impl FnOnce(&mut Config)) -> Self {
        let (origin, folder) = (FakeOrigin::start().await, tempfile::tempdir().unwrap());
        let mut config = config(&origin, &folder);
        adjust(&mut config);
        let name_server = GeoDns::bind(config.clone()).await.unwrap();
        let client = Client::builder().no_proxy().pool_max_idle_per_host(0).build().unwrap();
        Self { origin, name_server, folder, config, client }
    }

    /// Another name server of the same origin.
    pub(super) async fn another(&self, adjust: impl FnOnce(&mut Config)) -> GeoDns {
        let mut config = Config { data: self.folder.path().join("another"), ..self.config.clone() };
        adjust(&mut config);
        GeoDns::bind(config).await.unwrap()
    }

    /// Waits until answers reflect everything that the origin has written.
    pub(super) async fn synced(&self) {
        self.synced_at(self.name_server.dns_addr()).await;
    }

    /// The same for another name server.
    pub(super) async fn synced_at(&self, node: SocketAddr) {
        // Rows are applied in order: a name that is added last appears last.
        let marker = format!("marker-{}", node.port());
        self.origin.write(&format!("channel/{marker}/live"), |_| None);
        publish(&self.origin, &format!("{marker}/live"));
        let question = query(&format!("{marker}.example.com A"));
        until("the feed to be applied", async || udp(node, &question).await.rcode() == "NOERROR").await;
        self.origin.write(&format!("channel/{marker}/live"), |_| None);
        until("the feed to be applied", async || udp(node, &question).await.rcode() == "NXDOMAIN").await;
    }

    /// Stops the name server and starts it again with the same data directory.
    pub(super) async fn restart(self) -> Self {
        let Self { origin, name_server, folder, config, client } = self;
        end(name_server).await;
        let name_server = GeoDns::bind(config.clone()).await.unwrap();
        Self { origin, name_server, folder, config, client }
    }

    pub(super) async fn stop(mut self) {
        end(self.name_server).await;
        self.origin.go_offline().await;
    }

    /// The zone file of a zone.
    pub(super) fn zone_file(&self, zone: &str) -> PathBuf {
        self.folder.path().join(format!("{zone}.zone"))
    }

    pub(super) async fn udp(&self, query: &Query) -> Answer {
        udp(self.name_server.dns_addr(), query).await
    }

    pub(super) async fn tcp(&self, query: &Query) -> Answer {
        Connection::to(self.name_server.dns_addr()).await.ask(query).await
    }

    /// Asks over UDP and TCP, whose responses must be equal.
    pub(super) async fn ask(&self, query: &Query) -> Answer {
        let (udp, tcp) = (self.udp(query).await, self.tcp(query).await);
        assert_eq!(udp.text(), tcp.text());
        assert_eq!(udp.bytes, tcp.bytes);
        udp
    }

    /// The text form of the answer to a question such as `www.example.com MX`, over both.
    pub(super) async fn answer_text(&self, question: &str) -> String {
        self.ask(&query(question)).await.text()
    }

    /// Waits until that is the answer, over UDP.
    pub(super) async fn wait_for_answer(&self, question: &str, expected: &str) {
        let question = query(question);
        let mut last = String::new();
        let asked = async || {
            last = self.udp(&question).await.text();
            last == expected
        };
        let waited = tokio::time::timeout(STUCK, until(expected, asked)).await;
        assert!(waited.is_ok(), "the last answer was {last}");
    }

    /// The addresses in the answer to a client in the network. Only over UDP: two answers may differ while something changes.
    pub(super) async fn edges_for(&self, name: &str, network: &str) -> Vec<String> {
        let record_type = if network.contains(':') { "AAAA" } else { "A" };
        let answer = self.udp(&query(&format!("{name} {record_type}")).subnet(network)).await;
        answer.addresses().iter().map(ToString::to_string).collect()
    }

    pub(super) async fn explain(&self, address: IpAddr, name: &str) -> Explanation {
        let url = format!("http://{}/explain?address={address}&name={name}", self.name_server.private_addr());
        self.client.get(url).send().await.unwrap().json().await.unwrap()
    }

    /// The status and the text of the health page.
    pub(super) async fn health(&self) -> (u16, String) {
        let url = format!("http://{}/healthz", self.name_server.private_addr());
        let response = self.client.get(url).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Waits until the health page starts with this text.
    pub(super) async fn wait_for_health(&self, status: u16, expected: &str) {
        let mut last = (0, String::new());
        let asked = async || {
            last = self.health().await;
            last.0 == status && last.1.starts_with(expected)
        };
        let waited = tokio::time::timeout(STUCK, until(expected, asked)).await;
        assert!(waited.is_ok(), "the last health page was {last:?}");
    }

    /// The number of problems of a kind.
    pub(super) async fn problems(&self, kind: &str) -> usize {
        self.count(&format!(r#"verge_dns_problems{{kind="{kind}"}}"#)).await
    }

    /// The value of a counter that exists from the start.
    pub(super) async fn count(&self, series: &str) -> usize {
        let value = self.metric(series).await.unwrap();
        value.to_string().parse().unwrap()
    }

    /// The value of a series, by its name with labels.
    pub(super) async fn metric(&self, series: &str) -> Option<f64> {
        let url = format!("http://{}/metrics", self.name_server.private_addr());
        let metrics = self.client.get(url).send().await.unwrap().text().await.unwrap();
        metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }
}

/// Writes a channel, `demo/live`, to the origin. A name server does not read its manifest.
pub(super) fn publish(origin: &FakeOrigin, channel: &str) {
    origin.point_channel(channel, 1, Digest::of(channel.as_bytes()), &[]);
}

/// Writes three edges and a site to the origin.
pub(super) fn populate(origin: &FakeOrigin) {
    for (name, last, location) in [("fra", 1, "50.11,8.68"), ("nyc", 2, "40.71,-74.01"), ("sin", 3, "1.29,103.85")] {
        let addresses = [format!("127.0.1.{last}"), format!("fe80::{last}")];
        origin.edge(name, json!({ "addresses": addresses, "port": 1, "location": location, "force": "up" }));
    }
    publish(origin, "demo/live");
    origin.domain("example.com", "demo");
    origin.domain("shop.empty.example.com", "demo");
}

/// Writes the zone files.
pub(super) fn zones(folder: &Path) -> Vec<ZoneConfig> {
    let zone = |name: &str, text: &str, sites| {
        let file = folder.join(format!("{name}.zone"));
        std::fs::write(&file, text).unwrap();
        ZoneConfig { name: name.parse().unwrap(), file, sites }
    };
    let com = format!("{}{}", include_str!("example.com.zone"), long_records());
    vec![zone("example.com", &com, true), zone("example.net", include_str!("example.net.zone"), false)]
}

fn config(origin: &FakeOrigin, folder: &TempDir) -> Config {
    let (data, zones) = (folder.path().join("data"), zones(folder.path()));
    let origin = origin.url().parse().unwrap();
    let mut config = Config::new("ns-1".parse().unwrap(), origin, Secret::new(TOKEN), data, zones);
    config.locations =
        LOCATIONS.map(|(network, location)| (network.parse().unwrap(), location.parse().unwrap())).to_vec();
    // The same number of threads on every machine.
    config.workers = 2;
    config.drain_timeout = STUCK;
    config
}

/// Record sets longer than 512 and than 1232 bytes, and delegations with glue of these lengths.
fn long_records() -> String {
    let mut text = String::new();
    for (name, count) in [("large", 3), ("huge", 6)] {
        for letter in "abcdef".chars().take(count) {
            writeln!(text, "{name} TXT \"{}\"", letter.to_string().repeat(250)).unwrap();
        }
    }
    for (cut, servers) in [("wide", 5), ("wider", 12), ("widest", 20)] {
        for server in 1..=servers {
            writeln!(text, "{cut} NS server-{server}.{cut}").unwrap();
            writeln!(text, "server-{server}.{cut} A 192.0.2.{server}\n AAAA 2001:db8::{server}").unwrap();
        }
    }
    text
}

/// Stops a name server and checks that no task is left.
pub(super) async fn end(node: GeoDns) {
    let tasks = node.tasks();
    assert_eq!(node.shutdown().await, Ok(()));
    assert_eq!(tasks.running(), BTreeMap::new());
}

/// Asks over UDP from a new port.
pub(super) async fn udp(node: SocketAddr, query: &Query) -> Answer {
    let from = if node.is_ipv4() { IpAddr::from(Ipv4Addr::LOCALHOST) } else { std::net::Ipv6Addr::LOCALHOST.into() };
    udp_from(from, node, query).await
}

/// The same from a given address.
pub(super) async fn udp_from(from: IpAddr, node: SocketAddr, query: &Query) -> Answer {
    let socket = UdpSocket::bind((from, 0)).await.unwrap();
    socket.connect(node).await.unwrap();
    let answer = exchange(&socket, &query.bytes()).await;
    assert_eq!(answer.id(), query.id);
    answer
}

/// Sends a packet and receives the next.
pub(super) async fn exchange(socket: &UdpSocket, packet: &[u8]) -> Answer {
    socket.send(packet).await.unwrap();
    let mut buffer = vec![0; 65_535];
    let length = in_time("an answer", socket.recv(&mut buffer)).await.unwrap();
    buffer.truncate(length);
    Answer::of(buffer)
}
