//! Corrupt blobs.

use std::path::{Path, PathBuf};

use verge_test_kit::until;
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
async fn corrupt_blob_on_edge_disk_is_never_served() {
    let mut world = World::start(1).await;
    let page = "a page that is long enough for two blobs ".repeat(10_000);
    world.push("demo", &[("index.html", &page)]).await;
    world.until_prefetched(0).await;
    world.stop_edge(0).await;
    let mut corrupted = 0;
    for file in files_below(&world.edge_data_dir(0).join("blobs")) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        corrupted += 1;
    }
    assert!(corrupted > 1, "{corrupted} blobs");
    world.start_edge(0).await;
    for coding in ["identity", "gzip"] {
        let response = world.get_with(0, "demo", "/", &[("accept-encoding", coding)]).await.unwrap();
        let is_expected =
            if coding == "identity" { response.text() == page } else { response.body[..2] == [0x1f, 0x8b] };
        assert!(is_expected, "{coding}: {} bytes", response.body.len());
    }
    assert!(world.edge_metric(0, "verge_edge_corrupt_files_total").await >= 1.0);
    world.stop().await;
}

/// All blobs at the origin become corrupt at once: files, encodings and the manifest. None of them is served, and pushes of the same
/// files repair them all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn corrupt_blobs_at_origin_are_repaired_by_pushes() {
    let mut world = World::start(0).await;
    let page = "correct bytes, enough of them to be worth an encoding ".repeat(20);
    let files = [("index.html", page.as_str())];
    world.push("demo", &files).await;
    for file in files_below(&world.folder.path().join("origin/objects/blobs")) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(file, bytes).unwrap();
    }
    let edge = world.add_edge(world.origin_address()).await;
    // The origin detects a corrupt blob when it is requested; the next push uploads it again.
    let is_repaired = async || {
        let mut all_good = true;
        for coding in ["identity", "br", "gzip"] {
            let response = world.get_with(edge, "demo", "/", &[("accept-encoding", coding)]).await.unwrap();
            let good = response.status.is_success();
            assert!(good || response.header("cache-control") == "no-store", "{coding}: {}", response.status);
            assert!(!good || coding != "identity" || response.text() == page, "corrupt bytes were served");
            all_good &= good;
        }
        all_good
    };
    until("pushes to repair all blobs", async || {
        let _ = world.try_push(&world.client(), "demo", &files).await;
        is_repaired().await
    })
    .await;
    world.stop().await;
}
