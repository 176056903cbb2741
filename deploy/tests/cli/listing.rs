//! Commands that only read.

use verge::Exit;

use crate::origin::Site;
use crate::world::World;

#[tokio::test]
async fn releases_sites_and_status_are_listed_as_text_and_json() {
    let world = World::new().await;
    let none = world.verge(&["sites"]).await.ended(Exit::Success);
    assert_eq!((none.stdout.as_str(), none.stderr.as_str()), ("", "no sites yet; create one with `verge push`\n"));
    assert_eq!(world.verge(&["sites", "--json"]).await.json(), serde_json::json!([]));
    world.verge(&["push", "--author", "Ann", "--message", "first"]).await.ended(Exit::Success);
    let releases = world.verge(&["releases"]).await.ended(Exit::Success);
    insta::assert_snapshot!(releases.stdout);
    assert_eq!(world.verge(&["releases", "--json"]).await.json()[0]["number"], "v1");
    assert_eq!(world.verge(&["sites", "--json"]).await.json()[0]["channels"][0]["name"], "live");
    assert_eq!(world.verge(&["status", "--json"]).await.json()["position"], "1-9");
    let status = world.verge(&["status"]).await.ended(Exit::Success);
    assert!(status.stdout.starts_with("origin ") && status.stdout.contains("app"), "{}", status.stdout);
    assert_eq!(status.stderr, "no edges registered yet\n");
}

#[tokio::test]
async fn all_pages_of_sites_are_listed() {
    let world = World::new().await;
    let names = ["a", "b", "c", "d", "e"];
    for name in names {
        world.origin.memory().sites.insert(name.parse().unwrap(), Site::default());
    }
    for (command, field) in [("sites", ""), ("status", "/sites")] {
        let json = world.verge(&[command, "--json"]).await.ended(Exit::Success).json();
        let listed: Vec<&str> = json
            .pointer(field)
            .unwrap()
            .as_array()
            .unwrap()
            .iter()
            .map(|site| site["name"].as_str().unwrap())
            .collect();
        assert_eq!(listed, names, "{command}");
    }
    let requests = &world.origin.memory().requests;
    assert_eq!(requests[..3], ["", "&after=b", "&after=d"].map(|after| format!("GET /v1/sites?limit=1000{after}")));
}

#[tokio::test]
async fn missing_site_name_error_has_hint() {
    let world = World::new().await;
    std::fs::remove_file(world.path().join("package.json")).unwrap();
    let ran = world.verge(&["releases"]).await.ended(Exit::Usage);
    assert_eq!(
        ran.stderr,
        "error: no site name given\nhint: use --site NAME, or set `site = \"NAME\"` in verge.toml\n"
    );
}

#[tokio::test]
async fn unknown_site_error_has_hint() {
    let world = World::new().await;
    let ran = world.verge(&["releases", "--site", "shop"]).await.ended(Exit::Failure);
    let hint = "hint: use `verge sites` to list sites; the first push creates a site\n";
    assert_eq!(ran.stderr, format!("error: there is no such site\n{hint}"));
}
