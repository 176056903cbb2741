//! An edge that is killed.

use std::time::Duration;

use verge_test_kit::{FakeOrigin, TOKEN, TestRelease, in_time, release, until};

use super::process::{Process, start, write_config};

/// An edge process of a fake origin, with a reader.
struct Crashing {
    folder: tempfile::TempDir,
    origin: FakeOrigin,
    reader: reqwest::Client,
    process: Option<Process>,
}

impl Crashing {
    async fn start() -> Self {
        let (folder, origin) = (tempfile::tempdir().unwrap(), FakeOrigin::start().await);
        write_config(folder.path(), &origin.url(), &format!("token = \"{TOKEN}\""));
        let reader = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { folder, origin, reader, process: None }
    }

    /// Starts the edge and waits until it listens.
    async fn run(&mut self) -> String {
        self.process = Some(start(self.folder.path()));
        let mut address = None;
        until("the edge to listen", async || {
            let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap();
            let listening = log.lines().find(|line| line.contains("listening"));
            let readers = listening.and_then(|line| line.split_once("readers=[")?.1.split_once(']'));
            address = readers.map(|(address, _)| address.to_owned());
            address.is_some()
        })
        .await;
        address.unwrap()
    }

    fn kill(&mut self) {
        self.process.take().unwrap();
    }

    fn has_blobs(&self, release: &TestRelease) -> bool {
        let has = |digest: String| self.folder.path().join("data/blobs").join(&digest[..2]).join(digest).exists();
        release.blobs.iter().all(|blob| has(blob.digest().to_string()))
    }

    /// The number of the release that the edge serves; `None` if it serves none.
    async fn seen(&self, address: &str) -> Option<u64> {
        let request = self.reader.get(format!("http://{address}/")).header("host", "demo.verge.test");
        let response = request.send().await.ok()?;
        response.headers().get("verge-release")?.to_str().ok()?.strip_prefix('v')?.parse().ok()
    }
}

#[tokio::test]
async fn edge_killed_after_a_reader_saw_a_release_serves_it_again() {
    let mut crashing = Crashing::start().await;
    // Both are on disk: nothing but the state must be written.
    let releases: [TestRelease; 2] = [release(&[("index.html", "a")]), release(&[("index.html", "b")])];
    crashing.run().await;
    for (channel, release) in ["warm/a", "warm/b"].iter().zip(&releases) {
        crashing.origin.publish(channel, 1, release, &[]);
    }
    until("blobs on disk", async || releases.iter().all(|release| crashing.has_blobs(release))).await;
    crashing.kill();
    for round in 0..24_u64 {
        let address = crashing.run().await;
        let number = round + 1;
        crashing.origin.publish("demo/live", number, &releases[(round % 2) as usize], &[]);
        let mut last = None;
        if round % 2 == 0 {
            // At the moment when the release can be seen: no pause between the reads.
            let reading = async {
                while last != Some(number) {
                    last = crashing.seen(&address).await;
                }
            };
            in_time("the release", reading).await;
        } else {
            // At some moment around it.
            let reading = async {
                loop {
                    last = crashing.seen(&address).await.or(last);
                }
            };
            let _ = tokio::time::timeout(Duration::from_millis(round), reading).await;
        }
        crashing.kill();
        crashing.origin.go_offline().await;
        let address = crashing.run().await;
        let again = crashing.seen(&address).await;
        assert!(again >= last, "round {round}: a reader saw {last:?}, then {again:?}");
        crashing.kill();
        crashing.origin.go_online().await;
    }
}
