//! Rollbacks.

use verge::Exit;

use crate::world::World;

async fn with_three_releases() -> World {
    let world = World::new().await;
    for text in ["1", "2", "3"] {
        world.write("dist/app.js", text);
        world.verge(&["push"]).await.ended(Exit::Success);
    }
    world
}

#[tokio::test]
async fn rollback_moves_to_previous_release_without_upload() {
    let world = with_three_releases().await;
    world.origin.memory().requests.clear();
    let ran = world.verge(&["rollback"]).await.ended(Exit::Success);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(
        world.origin.memory().requests,
        ["GET /v1/sites/app", "GET /v1/sites/app/releases", "POST /v1/sites/app/channels/live", "GET /v1/edges"]
    );
}

#[tokio::test]
async fn rollback_to_any_release_succeeds() {
    let world = with_three_releases().await;
    let line = world.verge(&["rollback", "--to", "v1", "--json"]).await.ended(Exit::Success).json();
    assert_eq!((&line["release"], &line["from"], &line["epoch"]), (&"v1".into(), &"v3".into(), &4.into()));
    assert_eq!(line["edges"]["confirmed"].as_array().unwrap().len(), 3);
    let ran = world.verge(&["rollback"]).await.ended(Exit::Failure);
    assert!(ran.stderr.contains("error: no release of app is known that live pointed at before v1"), "{}", ran.stderr);
    let ran = world.verge(&["rollback", "--to", "v1"]).await.ended(Exit::Success);
    assert!(ran.stdout.starts_with("app v1 was already live\n"), "{}", ran.stdout);
    world.verge(&["rollback", "--to", "v3"]).await.ended(Exit::Success);
}

#[tokio::test]
async fn unknown_release_channel_or_site_is_named() {
    let world = with_three_releases().await;
    let error = async |arguments: &[&str]| world.verge(arguments).await.ended(Exit::Failure).stderr;
    assert!(error(&["rollback", "--to", "v9"]).await.starts_with("error: app has no release v9\n"));
    assert!(error(&["rollback", "--channel", "pr-1"]).await.starts_with("error: app has no channel pr-1\n"));
    assert!(error(&["rollback", "--site", "shop"]).await.starts_with("error: there is no such site\nhint: "));
}
