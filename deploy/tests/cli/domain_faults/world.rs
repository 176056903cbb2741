//! An origin, its name server, and domains of others, each with one fault.
//!
//! | Address | Serves |
//! |---|---|
//! | 127.53.0.1, `ns1` | every zone but the fleet's: Knot DNS |
//! | 127.53.0.2, `ns2` | an old copy of `stale.example`: Knot DNS |
//! | 127.53.0.3 | `sites.fleet.example`: Verge |
//! | 127.0.0.1 | all of them to the origin: Unbound |

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

use verge_daemon::{Clock, Secret};
use verge_geodns::config::ZoneConfig;
use verge_geodns::{Config as GeoDnsConfig, GeoDns};
use verge_origin::{AuthoritySettings, Config, Origin};
use verge_protocol::NameServerName;
use verge_protocol::api::{Domain, IssuedToken};

use super::authority::{Authority, Refusal};
use super::programs::{self, Program};
use crate::world::{Ran, verge};

/// The edge's address, and one of somebody else.
pub(super) const EDGE: &str = "127.53.0.10";
pub(super) const ELSEWHERE: &str = "127.53.0.99";

const NS_1: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 1);
const NS_2: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 2);
const FLEET: Ipv4Addr = Ipv4Addr::new(127, 53, 0, 3);
const RESOLVER: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// The programs that must be installed.
pub(super) const PROGRAMS: [&str; 4] = ["knotd", "ldns-keygen", "ldns-signzone", "unbound"];

/// A zone `<name>.example`, whose domain `www.<name>.example` is claimed.
pub(super) struct Zone {
    pub(super) name: &'static str,
    /// Records below its NS record; `{proof}` and `{target}` stand for what the domain's own should have. `None`: no such zone.
    pub(super) records: Option<&'static str>,
}

pub(super) struct World {
    pub(super) directory: tempfile::TempDir,
    pub(super) origin: Origin,
    pub(super) clock: Clock,
    authority: Authority,
    name_server: GeoDns,
    _programs: Vec<Program>,
}

impl World {
    pub(super) async fn start(zones: &[Zone], refusal: Refusal) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let authority = Authority::start(path, refusal).await;
        let dns_port = free_port(&[NS_1, NS_2, FLEET]);
        let resolver = SocketAddr::from((RESOLVER, free_port(&[RESOLVER])));
        // The authority tells the time.
        let clock = Clock::manual(Clock::system().now());
        let config = Config {
            resolver: Some(resolver),
            resolver_timeout: Duration::from_secs(1),
            dns_port,
            domain_check_interval: Duration::from_hours(1),
            certificate_interval: Duration::from_millis(100),
            authorities: vec![AuthoritySettings {
                ca_file: Some(authority.ca_file.clone()),
                ..AuthoritySettings::new(authority.directory_url.clone())
            }],
            ..Config::new(path.join("origin"), "https://sites.fleet.example".parse().unwrap())
        };
        let origin = Origin::bind_with_clock(config, clock.clone()).await.unwrap();
        let url = format!("http://{}", origin.addr());
        let token = verge::client::Token::new(origin.admin_token().expose());
        let client = verge::client::Client::new(url.parse().unwrap(), &token).unwrap();
        client.create_site(&"demo".parse().unwrap()).await.unwrap();

        let run = async |typed: &str| run(path, &origin, typed).await;
        std::fs::create_dir(path.join("dist")).unwrap();
        std::fs::write(path.join("dist/index.html"), "<!doctype html>").unwrap();
        run("push dist --site demo").await.ended(verge::Exit::Success);
        run(&format!("edges add fra-1 --address {EDGE},::1 --at Frankfurt")).await.ended(verge::Exit::Success);

        // Each has the proof of its own domain, which exists from the first claim on.
        let mut texts = Vec::new();
        for zone in zones {
            let added = run(&format!("domains add www.{}.example --site demo --json", zone.name)).await;
            let domain: Domain = serde_json::from_value(added.json()).unwrap();
            let Some(records) = zone.records else { continue };
            let records = records
                .replace("{proof}", &domain.proof.value)
                .replace("{target}", &format!("{}.", domain.delegation.unwrap().target))
                .replace("{fleet}", "demo.sites.fleet.example.");
            texts.push((format!("{}.example", zone.name), zone_text(zone.name, &records)));
        }

        let (port, resolver_port) = (dns_port, resolver.port());
        let mut stubs: Vec<(String, SocketAddr)> =
            texts.iter().map(|(zone, _)| (format!("{zone}."), (NS_1, port).into())).collect();
        let mut ds = String::new();
        let mut old = Vec::new();
        for ((zone, text), (_, server)) in texts.iter_mut().zip(&mut stubs) {
            if zone == "bogus.example" {
                (*text, ds) = programs::sign_long_ago(&path.join("keys"), zone, text);
            }
            if zone == "stale.example" {
                // The resolver asks the one that is behind.
                *server = (NS_2, port).into();
                let kept = text.lines().filter(|line| !line.starts_with("_verge"));
                old.push((zone.clone(), kept.collect::<Vec<_>>().join("\n") + "\n"));
            }
        }
        texts.push(("example".to_owned(), zone_text("", "")));
        texts.push((
            ".".to_owned(),
            "$TTL 60\n. SOA ns.example. host.example. 1 7200 900 1209600 60\n. NS ns.example.\n".to_owned(),
        ));
        stubs.push(("sites.fleet.example.".to_owned(), (FLEET, port).into()));
        stubs.extend(["example.", "."].map(|zone| (zone.to_owned(), SocketAddr::from((NS_1, port)))));
        let mut programs = vec![
            Program::knot(&path.join("ns1"), (NS_1, port).into(), &texts),
            Program::knot(&path.join("ns2"), (NS_2, port).into(), &old),
            Program::unbound(&path.join("resolver"), (RESOLVER, resolver_port).into(), &stubs, &ds),
        ];
        for (program, address) in programs.iter_mut().zip([(NS_1, port), (NS_2, port), (RESOLVER, resolver_port)]) {
            program.wait_until_up(address.into()).await;
        }
        let name_server = name_server(&client, &url, path, port).await;
        Self { directory, origin, clock, authority, name_server, _programs: programs }
    }

    /// Runs `verge` with arguments separated by spaces.
    pub(super) async fn verge(&self, typed: &str) -> Ran {
        run(self.directory.path(), &self.origin, typed).await
    }

    pub(super) async fn stop(self) {
        self.name_server.shutdown().await.unwrap();
        self.origin.shutdown().await.unwrap();
        self.authority.stop().await;
    }
}

async fn run(directory: &Path, origin: &Origin, typed: &str) -> Ran {
    let arguments: Vec<&str> = typed.split_whitespace().collect();
    verge(directory, &format!("http://{}", origin.addr()), origin.admin_token().expose(), &arguments).await
}

async fn name_server(client: &verge::client::Client, url: &str, path: &Path, port: u16) -> GeoDns {
    let name: NameServerName = "ns-1".parse().unwrap();
    let token: IssuedToken = client.issue_name_server_token(&name).await.unwrap();
    let file = path.join("sites.zone");
    std::fs::write(&file, format!("$TTL 60\n@ SOA ns host 1 7200 900 1209600 60\n@ NS ns\nns A {FLEET}\n")).unwrap();
    let zones = vec![ZoneConfig { name: "sites.fleet.example".parse().unwrap(), file, sites: true }];
    let config = GeoDnsConfig {
        listen: vec![(FLEET, port).into()],
        ..GeoDnsConfig::new(name, url.parse().unwrap(), Secret::new(&token.token), path.join("ns-1"), zones)
    };
    GeoDns::bind(config).await.unwrap()
}

fn zone_text(name: &str, records: &str) -> String {
    let origin = if name.is_empty() { "example.".to_owned() } else { format!("{name}.example.") };
    format!("$ORIGIN {origin}\n$TTL 60\n@ SOA ns1 host 1 7200 900 1209600 60\n@ NS ns1\nns1 A {NS_1}\n{records}\n")
}

/// A port that is free at all of these addresses.
fn free_port(addresses: &[Ipv4Addr]) -> u16 {
    let free = || {
        let port = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        addresses.iter().all(|address| programs::is_free(*address, port)).then_some(port)
    };
    std::iter::repeat_with(free).flatten().next().unwrap()
}
