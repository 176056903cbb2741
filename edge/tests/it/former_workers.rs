//! Service workers of earlier releases.

use serde_json::json;
use verge_protocol::Timestamp;
use verge_protocol::state::Inherited;
use verge_test_kit::release;

use super::world::World;

#[tokio::test]
async fn former_service_worker_is_answered_with_one_that_ends_itself_on_every_host_of_the_site() {
    let world = World::start().await;
    let site =
        release(&[("index.html", "app"), ("new-sw.js", "new")]).single_page("index.html").former_scripts(&["sw.js"]);
    world.origin.publish("demo/live", 1, &site, &[]);
    world.origin.publish("demo/pr-1", 1, &site, &[]);
    let position = world.origin.write("domain/www.shop.example", |_| Some(json!({ "site": "demo" })));
    world.wait_until_served(position).await;

    for host in ["demo.localhost", "pr-1--demo.localhost", "www.shop.example"] {
        let get = async |path| {
            let request = world.get(host, path).header("service-worker", "script");
            let response = request.header("sec-fetch-dest", "serviceworker").send().await.unwrap();
            let field = |name| response.headers().get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
            let (status, fields) = (response.status().as_u16(), [field("content-type"), field("cache-control")]);
            (status, fields, response.text().await.unwrap())
        };
        let (status, fields, script) = get("/sw.js").await;
        assert_eq!(
            (status, fields.each_ref().map(String::as_str)),
            (200, ["text/javascript; charset=utf-8", "no-store"])
        );
        assert!(script.contains("self.registration.unregister()"), "{script}");
        assert_eq!(get("/new-sw.js").await.2, "new");
        assert_eq!(get("/never.js").await.0, 404);
        assert_eq!(world.get(host, "/sw.js").send().await.unwrap().status(), 404, "not as a service worker");
    }
    world.stop().await;
}

#[tokio::test]
async fn service_worker_of_a_release_that_was_rolled_back_ends_and_a_fingerprinted_one_stays() {
    let world = World::start().await;
    let rolled_back = release(&[("sw.js", "two"), ("assets/sw-1a2b3c4d.js", "two")]);
    world.origin.publish("demo/live", 2, &rolled_back, &[]);
    let first = release(&[("index.html", "one")]);
    let inherits = [Inherited::new(rolled_back.id(), Timestamp(u64::MAX))];
    world.wait_until_served(world.origin.publish("demo/live", 1, &first, &inherits)).await;

    let get = async |path| {
        let response = world.get("demo.localhost", path).header("service-worker", "script").send().await.unwrap();
        response.text().await.unwrap()
    };
    assert!(get("/sw.js").await.contains("unregister"));
    assert_eq!(get("/assets/sw-1a2b3c4d.js").await, "two");
    world.stop().await;
}
