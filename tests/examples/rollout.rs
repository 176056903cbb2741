//! Measures a rollout: the time from the commit at the origin until the last edge serves the new release, to readers that send
//! requests to each edge all the time. `cargo run --release -p verge-tests --example rollout -- EDGES ROUNDS`
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement with its result on stdout")]

use std::time::Duration;

use tokio::time::Instant;
use verge_tests::World;

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>().unwrap());
    let (edges, rounds) = (arguments.next().unwrap_or(3), arguments.next().unwrap_or(20));
    let world = World::start(edges).await;
    world.push("demo", &[("index.html", "release 0")]).await;
    let mut times = Vec::new();
    for round in 1..=rounds {
        let text = format!("release {round}");
        let switched = async |edge: usize| {
            while world.get(edge, "demo", "/").await.text() != text {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            Instant::now()
        };
        let files = [("index.html", text.as_str())];
        let committed = async {
            let before = world.position().await;
            while world.position().await == before {
                tokio::time::sleep(Duration::from_micros(200)).await;
            }
            Instant::now()
        };
        let (_, committed, switched) = tokio::join!(
            world.push("demo", &files),
            committed,
            futures_util::future::join_all(world.edges().map(switched)),
        );
        let last = switched.into_iter().max().unwrap();
        times.push(last.saturating_duration_since(committed));
    }
    times.sort();
    let at = |share: usize| times[(times.len() - 1) * share / 100].as_secs_f64() * 1000.0;
    println!(
        "{edges} edges, {rounds} rounds: commit → last edge, ms: median {:.1}, p90 {:.1}, max {:.1}",
        at(50),
        at(90),
        at(100)
    );
    world.stop().await;
}
