//! Commands that only ask.

use verge::Exit;

use crate::world::World;

#[tokio::test]
async fn releases_sites_and_status_are_told_and_given_as_json() {
    let world = World::new().await;
    let none = world.verge(&["sites"]).await.ended(Exit::Success);
    assert_eq!(none.stdout, "no site yet: `verge push` makes one\n");
    world.verge(&["push", "--author", "Ann", "--message", "first"]).await.ended(Exit::Success);
    let releases = world.verge(&["releases"]).await.ended(Exit::Success);
    insta::assert_snapshot!(releases.stdout);
    assert_eq!(world.verge(&["releases", "--json"]).await.json()[0]["number"], "v1");
    assert_eq!(world.verge(&["sites", "--json"]).await.json()[0]["channels"][0]["name"], "live");
    assert_eq!(world.verge(&["status", "--json"]).await.json()["position"], "1-9");
    let status = world.verge(&["status"]).await.ended(Exit::Success);
    assert!(status.stdout.contains("no edge has registered yet"), "{}", status.stdout);
    assert!(status.stderr.is_empty(), "{}", status.stderr);
}

#[tokio::test]
async fn a_site_without_a_name_is_asked_for() {
    let world = World::new().await;
    std::fs::remove_file(world.path().join("package.json")).unwrap();
    let ran = world.verge(&["releases"]).await.ended(Exit::Usage);
    assert_eq!(
        ran.stderr,
        "error: the site has no name\nhint: name it with --site NAME, or with `site = \"NAME\"` in verge.toml\n"
    );
}

#[tokio::test]
async fn an_unknown_site_is_named_by_the_origin() {
    let world = World::new().await;
    let ran = world.verge(&["releases", "--site", "shop"]).await.ended(Exit::Failure);
    assert!(ran.stderr.starts_with("error: there is no such site"), "{}", ran.stderr);
}
