//! An origin whose data directory is put back to an older copy, to a copy of another origin, or to an empty directory, while edges are
//! ahead of it: no read fails, edges serve what the origin says, and the status tells.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::header::HOST;
use tokio::task::JoinHandle;
use verge_daemon::Tasks;
use verge_protocol::api::{Problem, Status};
use verge_test_kit::until;
use verge_tests::World;

const APP: &str = "assets/app-3f9d2c1b7a60.js";

async fn push(world: &World, site: &str, text: &str) {
    world.push(site, &[("index.html", text), (APP, "the app"), ("about.html", text)]).await;
}

/// Readers of both edges, which read until they are stopped. No read may fail.
struct Readers {
    stopped: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<Option<u64>>>,
}

impl Readers {
    fn start(world: &World, sites: &[&'static str]) -> Self {
        let stopped = Arc::new(AtomicBool::new(false));
        let (spawner, mut tasks) = (Tasks::default(), Vec::new());
        for edge in world.edges() {
            for site in sites {
                let (address, stopped) = (world.edge_address(edge), Arc::clone(&stopped));
                tasks.push(spawner.spawn("reader", read(address, site, stopped)));
            }
        }
        Self { stopped, tasks }
    }

    async fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        for task in self.tasks {
            assert!(task.await.unwrap() > Some(0), "a reader read nothing");
        }
    }
}

/// The number of reads.
async fn read(address: std::net::SocketAddr, site: &'static str, stopped: Arc<AtomicBool>) -> u64 {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut reads = 0;
    while !stopped.load(Ordering::Relaxed) {
        for path in ["", APP] {
            let request = client.get(format!("http://{address}/{path}")).header(HOST, format!("{site}.localhost"));
            // An edge that restarts refuses connections; its readers use the other one.
            let Ok(response) = request.send().await else { continue };
            assert_eq!(response.status(), 200, "{site} /{path}");
            response.bytes().await.unwrap();
            reads += 1;
        }
    }
    reads
}

async fn until_served(world: &World, site: &str, text: &str) {
    for edge in world.edges() {
        until(format!("{text} on edge {edge}"), async || world.get(edge, site, "/").await.text() == text).await;
    }
}

async fn problems(world: &World) -> Vec<Problem> {
    world.client().get::<Status>("/v1/status").await.unwrap().problems
}

/// Two sites; the second, and the last release of the first, are not in the copy.
async fn ahead_of_a_copy() -> (World, std::path::PathBuf) {
    let mut world = World::start(2).await;
    push(&world, "demo", "copied").await;
    world.stop_origin().await;
    let copy = world.copy_origin_data();
    world.start_origin().await;
    push(&world, "demo", "lost").await;
    push(&world, "news", "lost site").await;
    world.until_caught_up().await;
    (world, copy)
}

async fn until_orphaned(world: &World) {
    until("the orphans", async || {
        let keys = problems(world).await.into_iter().find_map(|problem| match problem {
            Problem::Orphans { keys, edges } if edges.len() == 2 => Some(keys),
            _ => None,
        });
        keys.is_some_and(|keys| keys.contains(&"channel/news/live".to_owned()))
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_restored_from_an_older_copy_prevails_and_takes_no_site_down() {
    let (mut world, copy) = ahead_of_a_copy().await;
    let readers = Readers::start(&world, &["demo", "news"]);
    world.stop_origin().await;
    world.replace_origin_data(Some(&copy));
    world.start_origin().await;
    until_served(&world, "demo", "copied").await;
    world.until_caught_up().await;
    until_orphaned(&world).await;
    assert!(problems(&world).await.iter().any(|problem| matches!(problem, Problem::Diverged { .. })));
    for edge in world.edges() {
        assert_eq!(world.get(edge, "news", "/").await.text(), "lost site");
    }

    // Pushes are confirmed at once, also of the site that the copy does not know.
    push(&world, "demo", "pushed again").await;
    push(&world, "news", "site pushed again").await;
    world.until_caught_up().await;
    until_served(&world, "demo", "pushed again").await;
    until_served(&world, "news", "site pushed again").await;
    until("no orphans", async || {
        problems(&world).await.iter().all(|problem| matches!(problem, Problem::Diverged { .. }))
    })
    .await;
    readers.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_restored_that_has_caught_up_in_number_before_edges_return_prevails() {
    let (mut world, copy) = ahead_of_a_copy().await;
    let lost = world.position().await;
    for edge in world.edges() {
        world.stop_edge(edge).await;
    }
    world.stop_origin().await;
    world.replace_origin_data(Some(&copy));
    world.start_origin().await;
    while world.position().await < lost {
        push(&world, "blog", "another site").await;
        push(&world, "blog", "another release").await;
    }
    for edge in world.edges() {
        world.start_edge(edge).await;
    }
    let readers = Readers::start(&world, &["demo", "news"]);
    until_served(&world, "demo", "copied").await;
    until_served(&world, "blog", "another release").await;
    world.until_caught_up().await;
    until_orphaned(&world).await;
    readers.stop().await;
    world.stop().await;
}

/// Puts `data` in place of the origin's, gives the edges new tokens, and checks that they serve all that they did, and `site`.
async fn replace(data: Option<&std::path::Path>) {
    let (mut world, _) = ahead_of_a_copy().await;
    let readers = Readers::start(&world, &["demo", "news"]);
    world.stop_origin().await;
    world.replace_origin_data(data);
    world.start_origin().await;
    until("unknown tokens to be told", async || {
        problems(&world).await.iter().any(|problem| matches!(problem, Problem::UnknownTokens { .. }))
    })
    .await;
    for edge in world.edges() {
        world.renew_edge_token(edge).await;
    }
    world.until_caught_up().await;
    until_orphaned(&world).await;
    if data.is_some() {
        until_served(&world, "elsewhere", "other site").await;
    }
    push(&world, "fresh", "new site").await;
    until_served(&world, "fresh", "new site").await;
    for (site, text) in [("demo", "lost"), ("news", "lost site")] {
        until_served(&world, site, text).await;
    }
    readers.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_replaced_by_another_takes_no_site_down() {
    let mut other = World::start(0).await;
    push(&other, "elsewhere", "other site").await;
    other.stop_origin().await;
    Box::pin(replace(Some(&other.folder.path().join("origin")))).await;
    other.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn origin_replaced_by_an_empty_one_takes_no_site_down() {
    Box::pin(replace(None)).await;
}
