//! What operators configure: edges, region restrictions and name servers.

use std::collections::BTreeSet;
use std::time::Duration;

use reqwest::Method;
use serde_json::json;
use verge_protocol::api::{Edge, EdgeSettings, ForceEdge, NameServer, Site, SiteRegions, Status};
use verge_protocol::fleet::{EdgeState, Force};
use verge_protocol::report::EdgeReport;
use verge_protocol::state::ParsedRow;
use verge_protocol::{EdgeName, Position, Region, Seq};

use super::test_origin::{Feed, TestOrigin, error, ok};

fn settings(address: &str) -> EdgeSettings {
    EdgeSettings {
        addresses: vec![address.parse().unwrap()],
        port: 80,
        scheme: None,
        location: Some("50.11,8.68".parse().unwrap()),
        regions: regions(&["de", "eu"]),
        weight: 1,
    }
}

fn regions(names: &[&str]) -> BTreeSet<Region> {
    names.iter().map(|name| name.parse().unwrap()).collect()
}

async fn configure(origin: &TestOrigin, edge: &str, settings: &EdgeSettings) -> EdgeState {
    ok(origin.put(&format!("/v1/edges/{edge}"), settings).await).await
}

async fn position(origin: &TestOrigin) -> Position {
    origin.get::<Status>("/v1/status").await.position
}

async fn next_edge(feed: &mut Feed) -> (EdgeName, Option<EdgeState>) {
    let row = feed.row().await;
    match row.parse() {
        Ok(ParsedRow::Edge(name, state)) => (name, state),
        other => panic!("not an edge: {other:?}"),
    }
}

async fn tail(origin: &TestOrigin) -> Feed {
    let mut feed = origin.subscribe(&origin.name_server_token("ns-1").await, None).await;
    feed.caught_up().await;
    feed
}

#[tokio::test]
async fn a_name_server_receives_the_settings_of_edges() {
    let origin = TestOrigin::start().await;
    let mut feed = tail(&origin).await;
    let state = configure(&origin, "fra-1", &settings("192.0.2.1")).await;
    assert_eq!(next_edge(&mut feed).await, ("fra-1".parse().unwrap(), Some(state.clone())));
    assert_eq!(configure(&origin, "fra-1", &settings("192.0.2.1")).await, state);
    assert_eq!(position(&origin).await.to_string(), "1-1", "the same settings are not written again");

    let down: EdgeState = ok(origin.put("/v1/edges/fra-1/force", ForceEdge { force: Force::Down }).await).await;
    assert_eq!(next_edge(&mut feed).await.1.as_ref(), Some(&down));
    assert_eq!(down, EdgeState { force: Force::Down, ..state });
    let moved = configure(&origin, "fra-1", &settings("192.0.2.2")).await;
    assert_eq!(moved.force, Force::Down, "new settings keep a forced state");
    assert_eq!(next_edge(&mut feed).await.1, Some(moved));
    let taken = error(origin.put("/v1/edges/ams-1", settings("192.0.2.2")).await).await;
    assert_eq!((taken.0, taken.1.code.as_str()), (409, "address_taken"));
    assert_eq!(position(&origin).await.to_string(), "1-3", "a refused write takes no sequence number");
    origin.stop().await;
}

/// A commit whose client has disconnected is announced like any other.
#[tokio::test]
async fn a_write_whose_client_disconnected_reaches_subscribers() {
    let origin = TestOrigin::start().await;
    let mut feed = tail(&origin).await;
    let (mut received, mut disconnected) = (0, 0);
    for yields in (0..60).map(|round| round * round) {
        let weight = if received % 2 == 0 { 1 } else { 2 };
        let path = if yields % 2 == 0 { "/v1/edges/fra-1" } else { "/v1/edges/fra-2" };
        let address = if yields % 2 == 0 { "192.0.2.1" } else { "192.0.2.2" };
        let settings = EdgeSettings { weight, ..settings(address) };
        let disconnect = async {
            for _ in 0..yields {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            biased;
            answer = origin.put(path, settings) => assert_eq!(answer.status(), 200),
            () = disconnect => disconnected += 1,
        }
        // Any write in progress ends before this one, which is not announced.
        origin.edge_token("fra-1").await;
        let Seq(position) = position(&origin).await.seq;
        while received < position {
            let next = tokio::time::timeout(Duration::from_secs(30), feed.row());
            Seq(received) = next.await.unwrap_or_else(|_| panic!("{position} is not announced, after {received}")).seq;
        }
    }
    assert!(disconnected > 0 && received > 0, "{disconnected} clients disconnected, {received} writes");
    origin.stop().await;
}

#[tokio::test]
async fn a_removed_edge_loses_its_settings_token_and_report() {
    let origin = TestOrigin::start().await;
    let token = origin.edge_token("fra-1").await;
    origin.edge_token("ams-1").await;
    configure(&origin, "fra-1", &settings("192.0.2.1")).await;
    configure(&origin, "sgp-1", &settings("192.0.2.3")).await;
    let report = EdgeReport::new("1-0".parse().unwrap(), "0");
    let report = || origin.request_as(&token, Method::POST, "/v1/edges/report").json(&report).send();
    assert_eq!(report().await.unwrap().status(), 204);

    let line = |edge: &Edge| format!("{} {} {} {}", edge.name, edge.state.is_some(), edge.has_token, edge.live);
    let edges: Vec<String> = origin.get::<Vec<Edge>>("/v1/edges").await.iter().map(line).collect();
    assert_eq!(edges, ["ams-1 false true false", "fra-1 true true true", "sgp-1 true false false"]);

    let mut feed = tail(&origin).await;
    for edge in ["fra-1", "sgp-1", "ams-1"] {
        assert_eq!(origin.delete(&format!("/v1/edges/{edge}")).await.status(), 204, "{edge}");
    }
    for edge in ["fra-1", "sgp-1"] {
        assert_eq!(next_edge(&mut feed).await, (edge.parse().unwrap(), None));
    }
    assert_eq!(report().await.unwrap().status(), 401);
    assert_eq!(origin.get::<Vec<Edge>>("/v1/edges").await, []);
    assert_eq!(position(&origin).await.to_string(), "1-4", "removing a token writes no row");
    assert_eq!(error(origin.delete("/v1/edges/fra-1").await).await.1.code, "unknown_edge");
    configure(&origin, "lon-1", &settings("192.0.2.1")).await;
    assert_eq!(next_edge(&mut feed).await.0.as_str(), "lon-1", "its address can be used again");
    origin.stop().await;
}

#[tokio::test]
async fn a_region_restriction_names_regions_that_have_an_edge() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    configure(&origin, "fra-1", &settings("192.0.2.1")).await;
    let mut feed = tail(&origin).await;
    let restrict =
        async |names: &[&str]| origin.put("/v1/sites/demo/regions", SiteRegions { regions: regions(names) }).await;
    let site: Site = ok(restrict(&["eu"]).await).await;
    assert_eq!(site.regions, regions(&["eu"]));
    let Ok(ParsedRow::Site(name, Some(state))) = feed.row().await.parse() else { panic!("a site") };
    assert_eq!((name.as_str(), state.regions), ("demo", regions(&["eu"])));
    ok::<Site>(restrict(&["eu"]).await).await;

    let (_, refused) = error(restrict(&["eu", "na"]).await).await;
    assert_eq!((refused.code.as_str(), refused.hint.as_deref()), ("unknown_region", Some("edges are in: de, eu")));
    assert_eq!(origin.get::<Site>("/v1/sites/demo").await.regions, regions(&["eu"]));

    let site: Site = ok(restrict(&[]).await).await;
    assert!(site.regions.is_empty());
    assert!(matches!(feed.row().await.parse(), Ok(ParsedRow::Site(_, None))));
    ok::<Site>(restrict(&[]).await).await;
    assert_eq!(position(&origin).await.to_string(), "1-3");
    origin.stop().await;
}

#[tokio::test]
async fn https_settings_of_a_site_reach_edges_and_leave_its_regions() {
    let origin = TestOrigin::start().await;
    origin.create_site("demo").await;
    configure(&origin, "fra-1", &settings("192.0.2.1")).await;
    ok::<Site>(origin.put("/v1/sites/demo/regions", SiteRegions { regions: regions(&["eu"]) }).await).await;
    let mut feed = tail(&origin).await;
    let hsts =
        |preload| json!({ "hsts": { "max_age_seconds": 31_536_000, "include_subdomains": true, "preload": preload } });
    let set = async |https: serde_json::Value| origin.put("/v1/sites/demo/https", https).await;
    let (status, refused) = error(set(hsts(true)).await).await;
    assert_eq!((status, refused.code.as_str()), (400, "invalid_https"));
    assert_eq!(refused.message, "preload before HSTS has been in force for 30 days");
    let site: Site = ok(set(hsts(false)).await).await;
    assert_eq!(site.https.hsts.unwrap().to_string(), "max-age=31536000; includeSubDomains");
    let Ok(ParsedRow::Site(_, Some(state))) = feed.row().await.parse() else { panic!("a site") };
    assert_eq!((state.https, state.regions), (site.https, regions(&["eu"])));
    origin.clock.advance(Duration::from_hours(31 * 24));
    let site: Site = ok(set(hsts(true)).await).await;
    assert!(site.https.hsts.unwrap().preload);
    ok::<Site>(origin.put("/v1/sites/demo/regions", SiteRegions { regions: regions(&[]) }).await).await;
    assert_eq!(origin.get::<Site>("/v1/sites/demo").await.https, site.https);
    origin.stop().await;
}

#[tokio::test]
async fn a_subscription_ends_when_its_token_is_revoked() {
    let origin = TestOrigin::start().await;
    let token = origin.edge_token("fra-1").await;
    let (mut ended, mut other) = (origin.subscribe(&token, None).await, tail(&origin).await);
    ended.caught_up().await;
    assert_eq!(origin.delete("/v1/edges/fra-1").await.status(), 204);
    let next = tokio::time::timeout(Duration::from_secs(30), ended.next());
    assert_eq!(next.await.expect("it ends at the next heartbeat"), None);
    configure(&origin, "ams-1", &settings("192.0.2.1")).await;
    assert_eq!(next_edge(&mut other).await.0.as_str(), "ams-1", "other subscriptions continue");
    origin.stop().await;
}

#[tokio::test]
async fn a_new_name_server_token_replaces_the_old_one() {
    let origin = TestOrigin::start().await;
    let old = origin.name_server_token("ns-1").await;
    let new = origin.name_server_token("ns-1").await;
    let subscribe = |token: String| origin.request_as(&token, Method::GET, "/v1/changes").send();
    assert_eq!(subscribe(old).await.unwrap().status(), 401);
    assert_eq!(subscribe(new).await.unwrap().status(), 200);
    // A name server and an edge may have the same name.
    let (edge, name_server) = (origin.edge_token("ns-1").await, origin.name_server_token("ns-1").await);
    assert_eq!(subscribe(edge).await.unwrap().status(), 200);
    assert_eq!(subscribe(name_server).await.unwrap().status(), 200);
    let origin = origin.restart().await;
    assert_eq!(origin.get::<Vec<Edge>>("/v1/edges").await.len(), 1);
    origin.stop().await;
}

#[tokio::test]
async fn a_removed_name_server_loses_access_to_the_feed() {
    let origin = TestOrigin::start().await;
    let list = async || origin.get::<Vec<NameServer>>("/v1/name-servers").await;
    assert_eq!(list().await, []);
    let (removed, other) = (origin.name_server_token("ns-2").await, origin.name_server_token("ns-1").await);
    origin.edge_token("fra-1").await;
    assert_eq!(list().await.iter().map(|server| server.name.as_str()).collect::<Vec<_>>(), ["ns-1", "ns-2"]);
    assert!(list().await.iter().all(|server| server.issued.0 > 0));
    assert_eq!(origin.delete("/v1/name-servers/ns-2").await.status(), 204);
    let subscribe = |token: String| origin.request_as(&token, Method::GET, "/v1/changes").send();
    assert_eq!(subscribe(removed).await.unwrap().status(), 401);
    assert_eq!(subscribe(other).await.unwrap().status(), 200);
    let (status, body) = error(origin.delete("/v1/name-servers/ns-2").await).await;
    assert_eq!((status, body.code.as_str()), (404, "unknown_name_server"));
    assert_eq!(list().await.len(), 1);
    origin.stop().await;
}

/// A request that is not understood must not be taken for another one.
#[tokio::test]
async fn malformed_edge_settings_are_refused() {
    let origin = TestOrigin::start().await;
    for body in
        [json!({"addresses": ["fra-1.example.com"]}), json!({"weight": -1}), json!({"location": "91,0"}), json!([])]
    {
        let (status, refused) = error(origin.put("/v1/edges/fra-1", body).await).await;
        assert_eq!((status, refused.code.as_str()), (400, "invalid_body"));
    }
    origin.stop().await;
}
