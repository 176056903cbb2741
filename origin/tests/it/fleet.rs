//! Edges as the operator describes them, fences, and the nodes that are told of both.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use verge_protocol::api::{Edge, EdgeSettings, ForceEdge, NameServer, Site, SiteRegions, Status};
use verge_protocol::feed::FeedEvent;
use verge_protocol::fleet::{EdgeState, Force};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::Entry;
use verge_protocol::{EdgeName, Region, Seq};

use super::world::{Feed, World, error, ok};

fn settings(address: &str) -> EdgeSettings {
    EdgeSettings {
        addresses: vec![address.parse().unwrap()],
        port: 80,
        location: Some("50.11,8.68".parse().unwrap()),
        regions: regions(&["de", "eu"]),
        weight: 1,
    }
}

fn regions(names: &[&str]) -> BTreeSet<Region> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn describe(world: &World, edge: &str, settings: &EdgeSettings) -> EdgeState {
    ok(world.put(&format!("/v1/edges/{edge}"), settings).await).await
}

async fn status(world: &World) -> Status {
    ok(world.request(Method::GET, "/v1/status").send().await.unwrap()).await
}

async fn next_edge(feed: &mut Feed) -> (EdgeName, Option<EdgeState>) {
    let row = feed.row().await;
    match row.entry() {
        Ok(Entry::Edge(name, state)) => (name, state),
        other => panic!("not an edge: {other:?}"),
    }
}

async fn tail(world: &World) -> Feed {
    let mut feed = world.follow(&world.node_token("ns-1").await, None).await;
    while !matches!(feed.next().await, Some((FeedEvent::CaughtUp(_), _))) {}
    feed
}

#[tokio::test]
async fn a_node_is_told_how_readers_are_sent_to_edges() {
    let world = World::start().await;
    let mut feed = tail(&world).await;
    let state = describe(&world, "fra-1", &settings("192.0.2.1")).await;
    assert_eq!(next_edge(&mut feed).await, ("fra-1".parse().unwrap(), Some(state.clone())));
    assert_eq!(describe(&world, "fra-1", &settings("192.0.2.1")).await, state);
    let position = status(&world).await.position;
    assert_eq!(position.to_string(), "1-1", "what is so already is not written");

    let down: EdgeState = ok(world.put("/v1/edges/fra-1/force", ForceEdge { force: Force::Down }).await).await;
    assert_eq!(next_edge(&mut feed).await.1.as_ref(), Some(&down));
    assert_eq!(down, EdgeState { force: Force::Down, ..state });
    let moved = describe(&world, "fra-1", &settings("192.0.2.2")).await;
    assert_eq!(moved.force, Force::Down, "what was forced stays so");
    assert_eq!(next_edge(&mut feed).await.1, Some(moved));
    let taken = error(world.put("/v1/edges/ams-1", settings("192.0.2.2")).await).await;
    assert_eq!((taken.0, taken.1.code.as_str()), (409, "address_taken"));
    assert_eq!(status(&world).await.position.to_string(), "1-3", "what is refused takes no number");
    world.stop().await;
}

/// A commit that nobody waits for any more is told like any other.
#[tokio::test]
async fn followers_are_told_what_was_asked_for_by_a_client_that_went_away() {
    let world = World::start().await;
    let mut feed = tail(&world).await;
    let (mut told, mut unheard) = (0, 0);
    for patience in (0..60).map(|round| round * round) {
        let weight = if told % 2 == 0 { 1 } else { 2 };
        let path = if patience % 2 == 0 { "/v1/edges/fra-1" } else { "/v1/edges/fra-2" };
        let address = if patience % 2 == 0 { "192.0.2.1" } else { "192.0.2.2" };
        let settings = EdgeSettings { weight, ..settings(address) };
        let gone = async {
            for _ in 0..patience {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = world.put(path, settings) => assert_eq!(answer.status(), 200),
            () = gone => unheard += 1,
        }
        // Whatever is being written is written before this, which tells nobody anything.
        world.edge_token("fra-1").await;
        let Seq(position) = status(&world).await.position.seq;
        while told < position {
            let next = tokio::time::timeout(Duration::from_secs(30), feed.row());
            Seq(told) = next.await.unwrap_or_else(|_| panic!("{position} is not told, after {told}")).seq;
        }
    }
    assert!(unheard > 0 && told > 0, "{unheard} clients went away, {told} writes");
    world.stop().await;
}

#[tokio::test]
async fn an_edge_that_is_removed_is_gone() {
    let world = World::start().await;
    let token = world.edge_token("fra-1").await;
    world.edge_token("ams-1").await;
    describe(&world, "fra-1", &settings("192.0.2.1")).await;
    describe(&world, "sgp-1", &settings("192.0.2.3")).await;
    let report = EdgeReport {
        url: None,
        applied: "1-0".parse().unwrap(),
        lagging: vec![],
        draining: false,
        version: "0".into(),
    };
    let say = || world.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send();
    assert_eq!(say().await.unwrap().status(), 204);

    let told = |edge: &Edge| format!("{} {} {} {}", edge.name, edge.state.is_some(), edge.has_token, edge.live);
    let edges: Vec<String> = status(&world).await.edges.iter().map(told).collect();
    assert_eq!(edges, ["ams-1 false true false", "fra-1 true true true", "sgp-1 true false false"]);

    let mut feed = tail(&world).await;
    for edge in ["fra-1", "sgp-1", "ams-1"] {
        assert_eq!(world.delete(&format!("/v1/edges/{edge}")).await.status(), 204, "{edge}");
    }
    for edge in ["fra-1", "sgp-1"] {
        assert_eq!(next_edge(&mut feed).await, (edge.parse().unwrap(), None));
    }
    assert_eq!(say().await.unwrap().status(), 401);
    let after = status(&world).await;
    assert_eq!((after.edges, after.position.to_string().as_str()), (vec![], "1-4"), "a token alone leaves no write");
    assert_eq!(error(world.delete("/v1/edges/fra-1").await).await.1.code, "unknown_edge");
    describe(&world, "lon-1", &settings("192.0.2.1")).await;
    assert_eq!(next_edge(&mut feed).await.0.as_str(), "lon-1", "its address is free");
    world.stop().await;
}

#[tokio::test]
async fn a_fence_keeps_to_where_edges_are() {
    let world = World::start().await;
    world.create_site("demo").await;
    describe(&world, "fra-1", &settings("192.0.2.1")).await;
    let mut feed = tail(&world).await;
    let fence =
        async |names: &[&str]| world.put("/v1/sites/demo/regions", SiteRegions { regions: regions(names) }).await;
    let site: Site = ok(fence(&["eu"]).await).await;
    assert_eq!(site.regions, regions(&["eu"]));
    let Ok(Entry::Site(name, Some(state))) = feed.row().await.entry() else { panic!("a site") };
    assert_eq!((name.as_str(), state.regions), ("demo", regions(&["eu"])));
    ok::<Site>(fence(&["eu"]).await).await;

    let (_, refused) = error(fence(&["eu", "na"]).await).await;
    assert_eq!((refused.code.as_str(), refused.hint.as_deref()), ("unknown_region", Some("edges are in: de, eu")));
    assert_eq!(status(&world).await.sites[0].regions, regions(&["eu"]));

    let site: Site = ok(fence(&[]).await).await;
    assert!(site.regions.is_empty());
    assert!(matches!(feed.row().await.entry(), Ok(Entry::Site(_, None))));
    ok::<Site>(fence(&[]).await).await;
    assert_eq!(status(&world).await.position.to_string(), "1-3");
    world.stop().await;
}

#[tokio::test]
async fn a_feed_ends_with_its_token() {
    let world = World::start().await;
    let token = world.edge_token("fra-1").await;
    let (mut ended, mut other) = (world.follow(&token, None).await, tail(&world).await);
    assert!(matches!(ended.next().await, Some((FeedEvent::CaughtUp(_), _))));
    assert_eq!(world.delete("/v1/edges/fra-1").await.status(), 204);
    let next = tokio::time::timeout(Duration::from_secs(30), ended.next());
    assert_eq!(next.await.expect("the next heartbeat ends it"), None);
    describe(&world, "ams-1", &settings("192.0.2.1")).await;
    assert_eq!(next_edge(&mut other).await.0.as_str(), "ams-1", "who has another token goes on");
    world.stop().await;
}

#[tokio::test]
async fn a_nodes_token_is_replaced_by_the_next() {
    let world = World::start().await;
    let old = world.node_token("ns-1").await;
    let new = world.node_token("ns-1").await;
    let follow = |token: String| world.request_as(&token, Method::GET, "/v1/changes").send();
    assert_eq!(follow(old).await.unwrap().status(), 401);
    assert_eq!(follow(new).await.unwrap().status(), 200);
    // A node and an edge of one name are two.
    let (edge, node) = (world.edge_token("ns-1").await, world.node_token("ns-1").await);
    assert_eq!(follow(edge).await.unwrap().status(), 200);
    assert_eq!(follow(node).await.unwrap().status(), 200);
    let world = world.restart().await;
    assert_eq!(status(&world).await.edges.len(), 1);
    world.stop().await;
}

#[tokio::test]
async fn a_node_that_is_removed_follows_no_more() {
    let world = World::start().await;
    let list =
        async || ok::<Vec<NameServer>>(world.request(Method::GET, "/v1/name-servers").send().await.unwrap()).await;
    assert_eq!(list().await, []);
    let (removed, other) = (world.node_token("ns-2").await, world.node_token("ns-1").await);
    world.edge_token("fra-1").await;
    assert_eq!(list().await.iter().map(|node| node.name.as_str()).collect::<Vec<_>>(), ["ns-1", "ns-2"]);
    assert!(list().await.iter().all(|node| node.issued.0 > 0));
    assert_eq!(world.delete("/v1/name-servers/ns-2").await.status(), 204);
    let follow = |token: String| world.request_as(&token, Method::GET, "/v1/changes").send();
    assert_eq!(follow(removed).await.unwrap().status(), 401);
    assert_eq!(follow(other).await.unwrap().status(), 200);
    let (status, body) = error(world.delete("/v1/name-servers/ns-2").await).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_node"));
    assert_eq!(list().await.len(), 1);
    world.stop().await;
}

/// A decision that is not understood must not be taken for another one that goes unnoticed.
#[tokio::test]
async fn settings_that_cannot_be_read_are_refused() {
    let world = World::start().await;
    for body in
        [json!({"addresses": ["fra-1.example.com"]}), json!({"weight": -1}), json!({"location": "91,0"}), json!([])]
    {
        let (status, refused) = error(world.put("/v1/edges/fra-1", body).await).await;
        assert_eq!((status, refused.code.as_str()), (400, "bad_body"));
    }
    world.stop().await;
}
