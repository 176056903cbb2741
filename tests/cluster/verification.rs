//! No unverified byte.

use std::path::{Path, PathBuf};

use verge_tests::World;

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(files_below(&path)) } else { files.push(path) }
    }
    files
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flipped_byte_on_an_edges_disk_is_never_served() {
    let mut world = World::start(1).await;
    let page = "a page that is long enough for two blobs ".repeat(10_000);
    world.push("demo", &[("index.html", &page)]).await;
    world.prefetched(0).await;
    world.stop_edge(0).await;
    let mut flipped = 0;
    for file in files_below(&world.edge_folder(0).join("blobs")) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        flipped += 1;
    }
    assert!(flipped > 1, "{flipped} blobs");
    world.start_edge(0).await;
    for coding in ["identity", "gzip"] {
        let answer = world.get_with(0, "demo", "/", &[("accept-encoding", coding)]).await.unwrap();
        let bytes = if coding == "identity" { answer.text() == page } else { answer.body[..2] == [0x1f, 0x8b] };
        assert!(bytes, "{coding}: {} bytes", answer.body.len());
    }
    assert!(world.edge_metric(0, "verge_edge_").await > 0.0);
    world.stop().await;
}

/// An origin's own blob that has gone bad is never passed on; the next push mends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blob_gone_bad_at_the_origin_is_mended_by_the_next_push() {
    let mut world = World::start(0).await;
    world.push("demo", &[("index.html", "good bytes")]).await;
    for file in files_below(&world.folder.path().join("origin/objects/blobs")) {
        if std::fs::read(&file).unwrap() == b"good bytes" {
            std::fs::write(file, "evil bytes").unwrap();
        }
    }
    let edge = world.add_edge(world.origin_address()).await;
    world.caught_up().await;
    let answer = world.get(edge, "demo", "/").await;
    assert!(answer.status.is_server_error(), "{}", answer.status);
    assert_eq!(answer.header("cache-control"), "no-store");
    let pushed = world.push("demo", &[("index.html", "good bytes")]).await;
    assert_eq!(pushed.saved_bytes, 0, "it is asked for again");
    world.until("the edge serves it", async || world.get(edge, "demo", "/").await.text() == "good bytes").await;
    world.stop().await;
}
