//! Purges: what is not inherited any more, what is checked on disk, and what an edge reports.

use verge_protocol::report::{EdgeReport, PurgeProof, ServedPath};
use verge_protocol::state::Inherited;
use verge_protocol::{Digest, Position, Seq, Timestamp};
use verge_test_kit::{in_time, release, until};

use super::world::World;

impl World {
    /// What the edge has reported of the purge of `demo` that was made by the write `seq`, once it says that it is done.
    async fn proof(&self, (seq, position): (Seq, Position)) -> PurgeProof {
        let site = "demo".parse().unwrap();
        let report = || -> Option<EdgeReport> {
            let reports = self.origin.reports();
            let at = Position { seq, ..position };
            reports.into_iter().find(|report| report.applied.includes(position) && report.has_purged(at, &site))
        };
        until("a report of the purge", async || report().is_some()).await;
        report().unwrap().purge_proof(seq, &site).unwrap().clone()
    }

    /// Damages a blob on disk; its size stays.
    fn corrupt(&self, digest: Digest) {
        let name = digest.to_string();
        let path = self.directory.path().join("blobs").join(&name[..2]).join(name);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[0] ^= 1;
        std::fs::write(path, bytes).unwrap();
    }

    fn quarantined(&self) -> usize {
        std::fs::read_dir(self.directory.path().join("quarantine")).unwrap().count()
    }
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

/// Publishes v1 with `assets/a.js` and `assets/b.js`, then v2 with neither, which inherits both.
async fn publish_two(world: &World) {
    let first = release(&[("index.html", "v1"), ("assets/a.js", "a"), ("assets/b.js", "b")]);
    let second = release(&[("index.html", "v2"), ("assets/c.js", "c")]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &first, &[])).await;
    let inherits = [Inherited::new(first.id(), Timestamp(1))];
    world.wait_until_served(world.origin.publish("demo/live", 2, &second, &inherits)).await;
    world.wait_for_blobs_on_disk(5).await;
}

#[tokio::test]
async fn purged_path_is_not_inherited_any_more_and_everything_else_stays() {
    let world = World::start().await;
    publish_two(&world).await;
    assert_eq!(world.read("/assets/a.js").await, (200, "a".into()));
    let proof = world.proof(world.origin.purge("demo", "assets/a.js")).await;
    assert_eq!(proof.serves, Some(ServedPath { status: 404, digest: None }));
    assert_eq!((proof.files, proof.bytes, proof.bad), (0, 0, 0));
    assert_eq!(world.read("/assets/a.js").await.0, 404);
    assert_eq!(world.read("/assets/b.js").await, (200, "b".into()));
    let proof = world.proof(world.origin.purge("demo", "index.html")).await;
    assert_eq!(proof.serves, Some(ServedPath { status: 200, digest: Some(digest("v2")) }));
    assert_eq!((proof.files, proof.bytes), (1, 2));
    let proof = world.proof(world.origin.purge("demo", "assets/*")).await;
    assert_eq!((proof.serves, proof.files), (None, 1), "c.js, which is its own");
    assert_eq!(world.read("/assets/b.js").await.0, 404);
    assert_eq!(world.read("/assets/c.js").await, (200, "c".into()));
    let world = world.restart().await;
    assert_eq!((world.read("/assets/b.js").await.0, world.read("/").await), (404, (200, "v2".into())));
    world.stop().await;
}

#[tokio::test]
async fn bad_blob_at_a_purged_path_is_replaced_before_it_is_removed() {
    let world = World::start().await;
    publish_two(&world).await;
    assert_eq!(world.read("/").await, (200, "v2".into()));
    world.corrupt(digest("v2"));
    world.origin.close_gate();
    let purge = world.origin.purge("demo", "*");
    until("the request of another blob", async || world.origin.requests(digest("v2")) == 2).await;
    assert!(world.is_stored(digest("v2")));
    let purging = world.edge.applied().borrow().purging.clone();
    assert_eq!(purging.iter().map(|lag| lag.seq).collect::<Vec<_>>(), [purge.0]);
    assert_eq!(world.metric("verge_edge_purging_sites").await, Some(1.0));
    assert_eq!(world.metric(r#"verge_edge_problems{kind="purging"}"#).await, Some(1.0));
    world.origin.open_gate();
    let proof = world.proof(purge).await;
    assert_eq!((proof.files, proof.bytes, proof.bad, proof.replaced), (2, 1, 1, 1));
    assert_eq!(world.quarantined(), 0);
    let requests = world.origin.requested().len();
    assert_eq!(world.read("/").await, (200, "v2".into()));
    assert_eq!(world.origin.requested().len(), requests, "it is on disk");
    world.stop().await;
}

#[tokio::test]
async fn purge_without_the_origin_serves_all_that_is_sound_and_nothing_that_is_bad() {
    let mut world = World::start().await;
    publish_two(&world).await;
    world.corrupt(digest("c"));
    world.origin.close_gate();
    let purge = world.origin.purge("demo", "*");
    until("the request of another blob", async || world.origin.requests(digest("c")) == 2).await;
    world.origin.go_offline().await;
    let mut applied = world.edge.applied();
    in_time("the purge", applied.wait_for(|applied| applied.purging.is_empty())).await.unwrap();
    assert_eq!((world.quarantined(), world.read("/").await), (1, (200, "v2".into())));
    assert!(world.read("/assets/c.js").await.0 >= 500, "bad bytes are not served");
    world.origin.open_gate();
    world.origin.go_online().await;
    let proof = world.proof(purge).await;
    assert_eq!((proof.bad, proof.replaced), (1, 0));
    until("the blob", async || world.is_stored(digest("c"))).await;
    world.stop().await;
}

#[tokio::test]
async fn edge_that_was_away_does_the_purges_before_it_reports_that_they_are_done() {
    let mut world = World::start().await;
    publish_two(&world).await;
    world.origin.go_offline().await;
    let purges = [world.origin.purge("demo", "assets/a.js"), world.origin.purge("demo", "index.html")];
    let reports = world.origin.reports().len();
    assert_eq!(world.read("/assets/a.js").await, (200, "a".into()), "it has not heard of them");
    world.origin.go_online().await;
    for purge in purges {
        world.proof(purge).await;
    }
    let site = "demo".parse().unwrap();
    for report in world.origin.reports().into_iter().skip(reports) {
        for (seq, position) in purges {
            let is_done = report.has_purged(Position { seq, ..position }, &site);
            assert_eq!(is_done, report.purge_proof(seq, &site).is_some(), "{report:?}");
        }
    }
    assert_eq!(world.read("/assets/a.js").await.0, 404);
    world.stop().await;
}
