//! Light edges, for measurements of an origin.
//!
//! `light_edges ORIGIN_URL FILE` runs until it is killed. The file has a name and a token in each line.
#![expect(clippy::unwrap_used, reason = "a panic is how a measurement reports an error")]

use verge_daemon::origins::OriginUrl;
use verge_daemon::{Secret, Tasks};
use verge_test_kit::LightEdge;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let url = OriginUrl::insecure(&arguments.next().unwrap()).unwrap();
    let file = arguments.next().unwrap();
    let tasks = Tasks::default();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let (name, token) = line.split_once(' ').unwrap();
        let edge = LightEdge::new(name.parse().unwrap(), url.clone(), &Secret::new(token));
        drop(tasks.spawn("light edge", edge.run(tasks.clone())));
    }
    std::future::pending::<()>().await;
}
