//! Erasures.

use verge::Exit;
use verge_protocol::api::{ContentInUse, EraseTarget, ErasedContent, ErasurePlan, PurgeProgress};
use verge_protocol::{ChannelName, Digest, ReleaseNumber, Seq};

use crate::world::World;

async fn erasing() -> World {
    let world = World::new().await;
    world.write("verge.toml", "site = \"app\"\n");
    let content = ErasedContent {
        digest: Digest::of(b"secret"),
        size: 6000,
        paths: vec!["keys.json".parse().unwrap(), "copy.json".parse().unwrap()],
        releases: vec![ReleaseNumber(1), ReleaseNumber(2)],
    };
    let in_use = ContentInUse {
        digest: Digest::of(b"{}"),
        size: 2,
        channel: ChannelName::live(),
        path: "empty.json".parse().unwrap(),
    };
    let scope = "keys.json".parse().unwrap();
    {
        let mut memory = world.origin.memory();
        memory.erasure_plan =
            Some(ErasurePlan { contents: vec![content], in_use: vec![in_use], removed_bytes: 7000, kept_bytes: 0 });
        memory.purge_events = vec![
            PurgeProgress::Purging { seq: Seq(7), scope, edges: vec!["fra-1".parse().unwrap()] },
            PurgeProgress::Confirmed { edge: "fra-1".parse().unwrap(), done: 1, total: 1, elapsed_ms: 8, proof: None },
            PurgeProgress::Finished { confirmed: vec!["fra-1".parse().unwrap()], lagging: vec![], elapsed_ms: 8 },
        ];
    }
    world
}

#[tokio::test]
async fn erasure_says_what_will_go_and_does_nothing_without_consent() {
    let world = erasing().await;
    let ran = world.verge(&["erase", "/keys.json"]).await.ended(Exit::Refused);
    insta::assert_snapshot!(ran.stderr);
    assert!(world.origin.memory().erasures.is_empty());
}

#[tokio::test]
async fn erasure_is_confirmed_by_edges() {
    let world = erasing().await;
    let ran = world.verge(&["erase", "/keys.json", "--yes", "-m", "a leak"]).await.ended(Exit::Success);
    insta::assert_snapshot!(format!("{}\n---\n{}", ran.stdout, ran.stderr));
    let request = world.origin.memory().erasures[0].clone();
    assert_eq!(request.target, EraseTarget::Path("keys.json".parse().unwrap()));
    assert_eq!(request.message.as_deref(), Some("a leak"));
    let line = world.verge(&["erase", "--release", "v1", "--yes", "--json"]).await.ended(Exit::Success).json();
    assert_eq!(line["erased"]["removed_bytes"], 7000);
    assert_eq!(world.origin.memory().erasures[1].target, EraseTarget::Release(ReleaseNumber(1)));
}
