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
    assert!(world.edge_metric(0, "verge_edge_corrupt_files_total").await >= 1.0);
    world.stop().await;
}

/// Everything that the origin keeps goes bad at once: files, encodings, the manifest. None of it is passed on, and pushes of the same
/// files mend all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_bad_at_the_origin_is_mended_by_pushes() {
    let mut world = World::start(0).await;
    let page = "good bytes, enough of them to be worth an encoding ".repeat(20);
    let files = [("index.html", page.as_str())];
    world.push("demo", &files).await;
    for file in files_below(&world.folder.path().join("origin/objects/blobs")) {
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[0] ^= 1;
        std::fs::write(file, bytes).unwrap();
    }
    let edge = world.add_edge(world.origin_address()).await;
    // Whoever asks for something bad finds out; the push after that brings it back.
    let serves_all = async || {
        let mut all = true;
        for coding in ["identity", "br", "gzip"] {
            let answer = world.get_with(edge, "demo", "/", &[("accept-encoding", coding)]).await.unwrap();
            let good = answer.status.is_success();
            assert!(good || answer.header("cache-control") == "no-store", "{coding}: {}", answer.status);
            assert!(!good || coding != "identity" || answer.text() == page, "bad bytes were served");
            all &= good;
        }
        all
    };
    world
        .until("pushes have mended everything", async || {
            let _ = world.try_push(&world.client(), "demo", &files).await;
            serves_all().await
        })
        .await;
    world.stop().await;
}
