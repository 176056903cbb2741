//! The fleet changes under load, and nobody notices but by being led elsewhere.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::json;
use tokio::net::UdpSocket;

use super::query::query;
use super::world::{World, exchange, until};

const CHANGES: usize = 200;

/// Who is named, in order, after each change of the fleet.
struct Course {
    fra: usize,
    lon: usize,
    lon_is_up: bool,
    expected: Vec<Vec<IpAddr>>,
}

impl Course {
    fn expect(&mut self) {
        let [fra, lon] = [(5, self.fra), (6, self.lon)]
            .map(|(third, last)| IpAddr::from([127, 0, third, u8::try_from(last).unwrap()]));
        let second = if self.lon_is_up { lon } else { IpAddr::from([127, 0, 7, 1]) };
        self.expected.push(vec![fra, second]);
    }
}

fn tell(world: &World, edge: &str, address: &str, place: &str, force: &str) {
    world.origin.edge(edge, json!({ "addresses": [address], "port": 1, "location": place, "force": force }));
}

fn fra(world: &World, course: &Course) {
    tell(world, "fra", &format!("127.0.5.{}", course.fra), "50.11,8.68", "up");
}

fn lon(world: &World, course: &Course) {
    let force = if course.lon_is_up { "up" } else { "down" };
    tell(world, "lon", &format!("127.0.6.{}", course.lon), "51.51,-0.13", force);
}

/// Each answer is that of one moment, whole; and moments pass in their order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_question_is_answered_as_of_before_or_after() {
    let world = World::empty(|_| {}).await;
    let mut course = Course { fra: 0, lon: 0, lon_is_up: true, expected: Vec::new() };
    // What will be, worked out beforehand.
    course.expect();
    for change in 0..CHANGES {
        match change % 4 {
            0 => course.fra += 1,
            1 => course.lon_is_up = !course.lon_is_up,
            2 => course.lon += 1,
            _ => {}
        }
        course.expect();
    }
    let expected = course.expected;

    let mut course = Course { fra: 0, lon: 0, lon_is_up: true, expected: Vec::new() };
    fra(&world, &course);
    lon(&world, &course);
    tell(&world, "nyc", "127.0.7.1", "40.71,-74.01", "up");
    world.origin.publish("demo/live");
    world.synced().await;

    let (written, seen, asked) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let stop = AtomicBool::new(false);
    let ask = async {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        socket.connect(world.name_server.dns_addr()).await.unwrap();
        while !stop.load(Ordering::SeqCst) {
            let id = u16::try_from(asked.fetch_add(1, Ordering::SeqCst) % 65_536).unwrap();
            let answer = exchange(&socket, &query("demo.example.com A").subnet("192.0.2.0/24").id(id).bytes()).await;
            assert_eq!((answer.id(), answer.rcode()), (id, "NOERROR"));
            let (last, latest) = (seen.load(Ordering::SeqCst), written.load(Ordering::SeqCst));
            let named = answer.addresses();
            let moment = (last..=latest).find(|moment| expected[*moment] == named);
            seen.store(moment.unwrap_or_else(|| panic!("{named:?} between {last} and {latest}")), Ordering::SeqCst);
        }
    };
    let change = async {
        for change in 0..CHANGES {
            // Before it is told, so that nobody sees what was not said to be written.
            written.store(change + 1, Ordering::SeqCst);
            match change % 4 {
                0 => {
                    course.fra += 1;
                    fra(&world, &course);
                }
                1 => {
                    course.lon_is_up = !course.lon_is_up;
                    lon(&world, &course);
                }
                2 => {
                    course.lon += 1;
                    lon(&world, &course);
                }
                _ => world.origin.publish(&format!("site-{change}/live")),
            }
            // A few may come at once; then it must be seen.
            if change % 3 == 0 {
                until("it to be seen", async || expected[seen.load(Ordering::SeqCst)] == expected[change + 1]).await;
            }
        }
        until("the last to be seen", async || expected[seen.load(Ordering::SeqCst)] == expected[CHANGES]).await;
        stop.store(true, Ordering::SeqCst);
    };
    tokio::join!(ask, change);
    assert!(asked.load(Ordering::SeqCst) > CHANGES);
    world.stop().await;
}
