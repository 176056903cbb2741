//! Listeners and base domains.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;

use verge_daemon::Secret;
use verge_daemon::listen::Listen;
use verge_edge::{BindError, Config, Edge};
use verge_test_kit::{TOKEN, release, until};

use super::world::World;

fn config(world: &World, directory: &Path, listen: Vec<Listen>) -> Config {
    let origin = world.origin.url().parse().unwrap();
    let config = Config::new("two-listeners".parse().unwrap(), origin, Secret::new(TOKEN), directory.to_owned());
    Config { listen, ..config }
}

/// Only Linux has loopback addresses other than 127.0.0.1.
const SECOND: &str = if cfg!(target_os = "linux") { "127.0.0.2" } else { "127.0.0.1" };

#[tokio::test]
async fn edge_serves_on_every_listen_address_and_base_domain() {
    let world = World::start().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    let directory = tempfile::tempdir().unwrap();
    let listen = ["127.0.0.1", SECOND].map(|ip| Listen::Bind(format!("{ip}:0").parse().unwrap())).to_vec();
    let base_domains = ["localhost", "verge.test"].map(|domain| domain.parse().unwrap()).to_vec();
    let config = Config { base_domains, ..config(&world, directory.path(), listen) };
    let edge = Edge::bind(config).await.unwrap();
    let addresses: Vec<SocketAddr> = edge.public_addrs().to_vec();
    assert_eq!(addresses.iter().map(|address| address.ip().to_string()).collect::<Vec<_>>(), ["127.0.0.1", SECOND]);
    assert_eq!(edge.public_addr(), addresses[0]);
    for address in &addresses {
        for host in ["demo.localhost", "demo.verge.test"] {
            until("the page", async || {
                let request = world.reader.get(format!("http://{address}/")).header("host", host);
                request.send().await.unwrap().text().await.unwrap() == "hi"
            })
            .await;
        }
    }
    // Reports name the first address.
    let url = format!("http://{}", addresses[0]);
    until("the report", async || {
        world.origin.reports().iter().any(|report| report.url.as_deref() == Some(url.as_str()))
    })
    .await;
    let tasks = edge.tasks();
    edge.shutdown().await.unwrap();
    assert_eq!(tasks.running(), BTreeMap::new());
    for address in addresses {
        assert!(tokio::net::TcpStream::connect(address).await.is_err());
    }
    world.stop().await;
}

#[tokio::test]
async fn edge_without_a_listen_address_does_not_start() {
    let world = World::start().await;
    let directory = tempfile::tempdir().unwrap();
    let edge = Edge::bind(config(&world, directory.path(), Vec::new())).await;
    assert!(matches!(edge, Err(BindError::NoListener)));
    world.stop().await;
}
