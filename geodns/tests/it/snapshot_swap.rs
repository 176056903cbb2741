//! Replacement of the snapshot under load.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::UdpSocket;
use verge_test_kit::until;

use super::query::query;
use super::world::{World, exchange, publish};

const CHANGES: usize = 200;

/// The expected edges, in order, after each change of the fleet.
struct Expectations {
    fra: usize,
    lon: usize,
    lon_is_up: bool,
    expected: Vec<Vec<IpAddr>>,
}

impl Expectations {
    fn expect(&mut self) {
        let [fra, lon] = [(5, self.fra), (6, self.lon)]
            .map(|(third, last)| IpAddr::from([127, 0, third, u8::try_from(last).unwrap()]));
        let second = if self.lon_is_up { lon } else { IpAddr::from([127, 0, 7, 1]) };
        self.expected.push(vec![fra, second]);
    }
}

fn write(world: &World, edge: &str, address: &str, location: &str, force: &str) {
    world.origin.edge(edge, json!({ "addresses": [address], "port": 1, "location": location, "force": force }));
}

fn fra(world: &World, expectations: &Expectations) {
    write(world, "fra", &format!("127.0.5.{}", expectations.fra), "50.11,8.68", "up");
}

fn lon(world: &World, expectations: &Expectations) {
    let force = if expectations.lon_is_up { "up" } else { "down" };
    write(world, "lon", &format!("127.0.6.{}", expectations.lon), "51.51,-0.13", force);
}

/// Each answer is from one snapshot, and snapshots are used in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_query_is_answered_from_one_snapshot_in_order() {
    let world = World::empty(|_| {}).await;
    let mut expectations = Expectations { fra: 0, lon: 0, lon_is_up: true, expected: Vec::new() };
    // The expected answers, computed in advance.
    expectations.expect();
    for change in 0..CHANGES {
        match change % 4 {
            0 => expectations.fra += 1,
            1 => expectations.lon_is_up = !expectations.lon_is_up,
            2 => expectations.lon += 1,
            _ => {}
        }
        expectations.expect();
    }
    let expected = expectations.expected;

    let mut expectations = Expectations { fra: 0, lon: 0, lon_is_up: true, expected: Vec::new() };
    fra(&world, &expectations);
    lon(&world, &expectations);
    write(&world, "nyc", "127.0.7.1", "40.71,-74.01", "up");
    publish(&world.origin, "demo/live");
    world.synced().await;

    let (written, seen, queries) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let query_loop = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(world.name_server.dns_addr()).await.unwrap();
        while !stop.load(Ordering::SeqCst) {
            let id = u16::try_from(queries.fetch_add(1, Ordering::SeqCst) % 65_536).unwrap();
            let answer = exchange(&socket, &query("demo.example.com A").subnet("192.0.2.0/24").id(id).bytes()).await;
            assert_eq!((answer.id(), answer.rcode()), (id, "NOERROR"));
            let (last, latest) = (seen.load(Ordering::SeqCst), written.load(Ordering::SeqCst));
            let addresses = answer.addresses();
            let moment = (last..=latest).find(|moment| expected[*moment] == addresses);
            seen.store(moment.unwrap_or_else(|| panic!("{addresses:?} between {last} and {latest}")), Ordering::SeqCst);
        }
    };
    let change = async {
        for change in 0..CHANGES {
            // Before it is written, so that no answer is ahead of this.
            written.store(change + 1, Ordering::SeqCst);
            match change % 4 {
                0 => {
                    expectations.fra += 1;
                    fra(&world, &expectations);
                }
                1 => {
                    expectations.lon_is_up = !expectations.lon_is_up;
                    lon(&world, &expectations);
                }
                2 => {
                    expectations.lon += 1;
                    lon(&world, &expectations);
                }
                _ => publish(&world.origin, &format!("site-{change}/live")),
            }
            // Every third change must be seen before the next.
            if change % 3 == 0 {
                until("the change to be seen", async || expected[seen.load(Ordering::SeqCst)] == expected[change + 1])
                    .await;
            }
        }
        until("the last change to be seen", async || expected[seen.load(Ordering::SeqCst)] == expected[CHANGES]).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(query_loop, change);
    assert!(queries.load(Ordering::SeqCst) > CHANGES);
    world.stop().await;
}
