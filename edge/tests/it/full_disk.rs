//! An edge on a disk that is small, or that another program fills.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use tokio::runtime::Runtime;
use verge_protocol::BLOB_MAX;
use verge_test_kit::{TestRelease, noise, on_small_disk, release, until};

use super::world::World;

const DISK_BYTES: u64 = 8 << 20;

/// A release of two files of a megabyte each.
fn large_release(number: u64) -> TestRelease {
    let (a, b) = (noise(2 * number, 4 * BLOB_MAX), noise(2 * number + 1, 4 * BLOB_MAX));
    release(&[("a.bin", &a), ("b.bin", &b)])
}

impl World {
    async fn publish_large(&self, number: u64) -> TestRelease {
        let release = large_release(number);
        self.wait_until_served(self.origin.publish("demo/live", number, &release, &[])).await;
        release
    }

    async fn wait_until_on_disk(&self, release: &TestRelease) {
        until("the release on disk", async || release.blobs.iter().all(|blob| self.is_stored(blob.digest()))).await;
    }

    async fn assert_is_served(&self, number: u64) {
        for (path, seed) in [("/a.bin", 2 * number), ("/b.bin", 2 * number + 1)] {
            let response = self.get("demo.localhost", path).send().await.unwrap();
            assert_eq!(response.bytes().await.unwrap(), noise(seed, 4 * BLOB_MAX));
        }
    }
}

/// Fills the disk except for `left` bytes.
fn fill(root: &Path, left: u64) {
    let mut filler = OpenOptions::new().create(true).append(true).open(root.join("filler")).unwrap();
    while filler.write_all(&[0; 4096]).is_ok() {}
    let length = filler.metadata().unwrap().len();
    filler.set_len(length - left).unwrap();
}

#[test]
fn disk_smaller_than_the_budget_always_has_the_live_release() {
    on_small_disk("it::full_disk::disk_smaller_than_the_budget_always_has_the_live_release", DISK_BYTES, |_| {
        Runtime::new().unwrap().block_on(async {
            let mut world = World::start().await;
            for number in 1..10 {
                let release = world.publish_large(number).await;
                world.wait_until_on_disk(&release).await;
                for blob in &release.blobs {
                    assert_eq!(world.origin.requests(blob.digest()), 1);
                }
            }
            assert!(world.metric("verge_edge_evicted_files_total").await > Some(0.0));
            world.origin.go_offline().await;
            let world = world.restart().await;
            world.assert_is_served(9).await;
            world.stop().await;
        });
    });
}

#[test]
fn disk_filled_by_another_program_is_used_again_once_there_is_room() {
    let name = "it::full_disk::disk_filled_by_another_program_is_used_again_once_there_is_room";
    on_small_disk(name, DISK_BYTES, |root| {
        Runtime::new().unwrap().block_on(async {
            let mut world = World::start().await;
            // Room for one blob beside the reserve, the manifest and the state.
            fill(root, 768 << 10);
            let release = world.publish_large(1).await;
            let on_disk = async || release.blobs.iter().filter(|blob| world.is_stored(blob.digest())).count();
            until("the blob that fits", async || on_disk().await == 1).await;
            // Readers get all of it, and each blob is fetched once, whether or not it can be stored.
            world.assert_is_served(1).await;
            world.assert_is_served(1).await;
            for blob in &release.blobs {
                assert_eq!(world.origin.requests(blob.digest()), 1);
            }
            assert_eq!(on_disk().await, 1);

            fill(root, 0);
            let next = world.publish_large(2).await;
            world.assert_is_served(2).await;
            std::fs::remove_file(root.join("filler")).unwrap();
            world.wait_until_on_disk(&next).await;
            world.origin.go_offline().await;
            let world = world.restart().await;
            world.assert_is_served(2).await;
            world.stop().await;
        });
    });
}
