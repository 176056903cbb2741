//! What is deleted because it is not needed any more.

use std::time::Duration;

use verge::Exit;
use verge_test_kit::until;

use super::world::World;

#[tokio::test]
async fn release_is_deleted_once_no_channel_uses_it_and_its_bytes_with_the_next_collection() {
    let world = World::new().await;
    let directory = world.dir.path().join("dist");
    std::fs::create_dir_all(&directory).unwrap();
    for text in ["one", "two"] {
        std::fs::write(directory.join("index.html"), format!("<!doctype html><title>{text}</title>")).unwrap();
        world.verge("push dist --site demo").await.ended(Exit::Success);
    }
    let none = world.verge("gc").await.ended(Exit::Success);
    assert_eq!((&*none.stdout, &*none.stderr), ("nothing to delete\n", "deleting what is not needed any more…\n"));

    let refused = world.verge("releases delete v1 --site demo --yes").await.ended(Exit::Conflict);
    let reason = "channel live points at its files, is about to, or serves them to tabs opened before";
    assert!(
        refused.stderr.contains(&format!("release v1 of `demo` is in use: {reason}\nhint: ")),
        "{}",
        refused.stderr
    );
    let unknown = world.verge("releases delete v7 --site demo --yes").await.ended(Exit::Failure);
    assert!(unknown.stderr.starts_with("error: site `demo` has no release v7\nhint: "), "{}", unknown.stderr);
    let unsure = world.verge_answering("releases delete v1 --site demo", "n\n").await.ended(Exit::Refused);
    assert!(unsure.stderr.contains("no channel of demo can be moved back to v1. Continue?"), "{}", unsure.stderr);

    world.clock.advance(Duration::from_hours(48));
    let delete = async || world.verge("releases delete v1 --site demo --yes").await;
    until("the tabs of the day before to be closed", async || delete().await.exit == Exit::Success).await;
    let listed = world.verge("releases --site demo --json").await.ended(Exit::Success).json();
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["number"]), (1, &"v2".into()));
    let back = world.verge("rollback --site demo --to v1").await;
    assert!(back.exit != Exit::Success && back.stderr.contains("v1"), "{}", back.stderr);

    // The builds of both pushes end too, a day after them.
    let planned = world.verge("gc --dry-run").await.ended(Exit::Success);
    assert!(planned.stdout.starts_with("would delete 0 releases, 2 unused builds, 1 blob ("), "{}", planned.stdout);
    let json = world.verge("gc --json").await.ended(Exit::Success).json();
    assert_eq!(
        (&json["dry_run"], &json["releases"], &json["builds"]),
        (&false.into(), &serde_json::json!([]), &2.into())
    );
    assert!(json["blobs"].as_u64().unwrap() >= 2 && json["bytes"].as_u64().unwrap() > 0, "{json}");
    assert_eq!(world.verge("gc --dry-run").await.ended(Exit::Success).stdout, "nothing to delete\n");
    world.stop().await;
}
