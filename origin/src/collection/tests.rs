//! What comes between the steps of a collection.

use std::path::Path;

use verge_daemon::Clock;
use verge_protocol::{Blob, BuildId, Coding, Content};

use super::*;
use crate::edge_reports::EdgeReports;
use crate::metrics::Metrics;
use crate::store::EncodingRow;
use crate::uploads::{ExpectedBlobs, StartedPack};

const NOW: Timestamp = Timestamp(1_000_000_000);

async fn collector(directory: &Path) -> Collector {
    let database = Database::open(&directory.join("origin.db"), NOW).await.unwrap();
    let (blobs, clock, tasks) = (Blobs::open(directory).await.unwrap(), Clock::manual(NOW), Tasks::default());
    let metrics: Arc<Metrics> = Arc::default();
    let feed = Feed::open(database.clone(), clock.clone(), tasks.clone(), Arc::clone(&metrics)).await.unwrap();
    let contents = Contents { database: database.clone(), blobs: blobs.clone(), metrics };
    let expiry_clock = ExpiryClock { clock, edge_reports: EdgeReports::default(), settling: Duration::ZERO };
    database.create_site(&demo(), NOW).await.unwrap();
    Collector {
        database,
        blobs,
        contents,
        feed,
        channel_locks: ChannelLocks::default(),
        active_packs: ActivePacks::default(),
        expiry_clock,
        retention: Retention::DEFAULT,
        tasks,
        running: tokio::sync::Mutex::default(),
    }
}

fn demo() -> SiteName {
    "demo".parse().unwrap()
}

fn blob(text: &'static str) -> Blob {
    Blob::of(text.into()).unwrap()
}

impl Collector {
    /// Has the site hold a blob.
    async fn hold(&self, text: &'static str) -> Digest {
        let blob = blob(text);
        self.blobs.put(&blob).await.unwrap();
        self.database.add_blobs(&demo(), &[(blob.digest(), blob.bytes().len() as u64)]).await.unwrap();
        blob.digest()
    }

    /// Records a build with a file of this text.
    async fn build(&self, id: &str, text: &'static str) -> BuildId {
        let (id, content): (BuildId, _) = (id.parse().unwrap(), Content::cut(&text.into()).0);
        let description = serde_json::json!({ "files": { "index.html": content } }).to_string();
        let body = compression::compress(description.as_bytes()).into();
        self.blobs.put_build(&demo(), &id, body).await.unwrap();
        self.database.touch_build(&demo(), &id, NOW).await.unwrap();
        id
    }

    async fn held(&self) -> HashSet<Digest> {
        self.database.blobs_of(&demo()).await.unwrap().into_keys().collect()
    }

    async fn encode(&self, of: Digest, encoded: &'static str) {
        let row = EncodingRow { of, coding: Coding::Br, level: 11, encoded: Some(Content::cut(&encoded.into())) };
        let store = async |blobs: Vec<Blob>| {
            for blob in &blobs {
                self.blobs.put(blob).await?;
            }
            Ok(())
        };
        self.database.put_encodings(&demo(), vec![row], store).await.unwrap();
    }

    async fn is_stored(&self, text: &'static str) -> bool {
        self.blobs.delete_sized(blob(text).digest()).await.unwrap() > 0
    }
}

#[tokio::test]
async fn blobs_of_a_build_that_is_recorded_after_the_marks_were_set_stay() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(directory.path()).await;
    let (needed, unneeded) = (collector.hold("needed").await, collector.hold("unneeded").await);
    for content in [needed, unneeded] {
        collector.encode(content, if content == needed { "encoded" } else { "encoded too" }).await;
    }
    let mut marks = Marks::default();
    collector.mark_new(&mut marks).await.unwrap();
    collector.build("0a1b", "needed").await;
    collector.give_up_blobs(&mut marks, &demo()).await.unwrap();
    assert_eq!(collector.held().await, [needed].into());

    collector.database.delete_build(&demo(), &"0a1b".parse().unwrap()).await.unwrap();
    let mut marks = Marks::default();
    collector.mark_new(&mut marks).await.unwrap();
    collector.build("0a1c", "needed").await;
    collector.forget_contents(&mut marks).await.unwrap();
    let encoding = async |of| collector.database.encoding(of, Coding::Br, 11).await.unwrap();
    assert!(encoding(needed).await.is_some() && encoding(unneeded).await.is_none());
    collector.database.close().await;
}

#[tokio::test]
async fn blob_that_was_given_up_stays_in_the_store_if_it_is_needed_again_or_expected() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(directory.path()).await;
    for text in ["unneeded", "held again", "expected"] {
        collector.hold(text).await;
    }
    let given_up: Vec<Digest> = collector.held().await.into_iter().collect();
    collector.database.give_up_blobs(&demo(), &given_up).await.unwrap();
    collector.hold("held again").await;
    let expected = Arc::new(ExpectedBlobs::from([(blob("expected").digest(), 8)]));
    let StartedPack::Unchecked(pack) = collector.active_packs.start(&demo(), &"0a1b".parse().unwrap(), expected) else {
        panic!("checked")
    };
    assert_eq!(collector.remove_unused(&mut Marks::default()).await.unwrap(), (1, 8));
    let left = collector.database.unused_blobs(None, 10).await.unwrap();
    assert_eq!(left, [blob("expected").digest()], "whether it is needed is known once the pack has ended");
    drop(pack);
    assert_eq!(collector.remove_unused(&mut Marks::default()).await.unwrap(), (1, 8));
    assert!(!collector.is_stored("unneeded").await && !collector.is_stored("expected").await);
    assert!(collector.is_stored("held again").await);
    collector.database.close().await;
}

#[tokio::test]
async fn build_whose_pack_is_being_received_does_not_end() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(directory.path()).await;
    let id = collector.build("0a1b", "text").await;
    let later = NOW.after(BUILD_KEPT_FOR);
    let StartedPack::Unchecked(pack) = collector.active_packs.start(&demo(), &id, Arc::default()) else {
        panic!("checked")
    };
    assert_eq!(collector.end_builds(later).await.unwrap(), 0);
    drop(pack);
    assert_eq!(collector.end_builds(Timestamp(later.0 - 1)).await.unwrap(), 0);
    assert_eq!(collector.end_builds(later).await.unwrap(), 1);
    assert!(collector.blobs.get_build(&demo(), &id).await.unwrap().is_none());
    collector.database.close().await;
}

#[tokio::test]
async fn blob_that_a_build_names_stays_even_if_the_record_that_the_site_holds_it_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(directory.path()).await;
    let needed = collector.hold("needed").await;
    collector.database.give_up_blobs(&demo(), &[needed]).await.unwrap();
    collector.build("0a1b", "needed").await;
    assert_eq!(collector.remove_unused(&mut Marks::default()).await.unwrap(), (0, 0));
    assert!(collector.is_stored("needed").await);
    collector.database.close().await;
}

#[tokio::test]
async fn build_without_its_description_is_read_again_once_it_has_one() {
    let directory = tempfile::tempdir().unwrap();
    let collector = collector(directory.path()).await;
    let held = collector.hold("text").await;
    let id = collector.build("0a1b", "text").await;
    collector.blobs.delete_build(&demo(), &id).await.unwrap();
    let mut marks = Marks::default();
    collector.mark_new(&mut marks).await.unwrap();
    assert!(!marks.any_needs_blob(&held));
    collector.build("0a1b", "text").await;
    collector.give_up_blobs(&mut marks, &demo()).await.unwrap();
    assert_eq!(collector.held().await, [held].into());
    collector.database.close().await;
}
