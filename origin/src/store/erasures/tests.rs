use verge_protocol::purge::PurgeScope;
use verge_protocol::{Blob, Coding, Content, Seq};

use super::*;
use crate::store::EncodingRow;

fn demo() -> SiteName {
    "demo".parse().unwrap()
}

fn news() -> SiteName {
    "news".parse().unwrap()
}

async fn database(directory: &tempfile::TempDir) -> Database {
    let database = Database::open(&directory.path().join("origin.db"), Timestamp(1000)).await.unwrap();
    for site in [demo(), news()] {
        database.create_site(&site, Timestamp(1000)).await.unwrap();
    }
    database
}

/// A content and its blobs.
type Encoded = (Content, Vec<Blob>);

async fn put(database: &Database, row: EncodingRow) {
    database.put_encodings(&demo(), vec![row], async |_| Ok(())).await.unwrap();
}

fn cut(text: &'static str) -> Encoded {
    Content::cut(&text.into())
}

/// The erasure of a content of one blob with one encoding, which the site `demo` holds.
async fn planned(database: &Database, text: &'static str, encoded: Encoded) -> NewErasure {
    let content = cut(text).0;
    let digest = content.digest();
    database.add_blobs(&demo(), &[(digest, content.size())]).await.unwrap();
    let encoded_blobs = encoded.0.slices().map(|slice| slice.digest).collect();
    put(database, EncodingRow { of: digest, coding: Coding::Br, level: 11, encoded: Some(encoded) }).await;
    let path = "a".parse().unwrap();
    let erased = NewErased { digest, path, blobs: vec![digest], own_blobs: vec![digest], encoded_blobs };
    NewErasure { site: demo(), contents: vec![erased] }
}

async fn erase(database: &Database, erasure: &NewErasure, from: &SiteManifests) -> Option<HashSet<Digest>> {
    let erased = database.erase(erasure, &purge(), from, Timestamp(2000), <[_]>::to_vec, async || {}).await.unwrap();
    Some(erased?.given_up)
}

fn purge() -> NewPurge {
    NewPurge { site: demo(), scope: PurgeScope::All, author: None, message: None }
}

/// The records of blobs that were erased.
async fn records(database: &Database) -> HashSet<Digest> {
    database.erased_blobs().await.unwrap().into_iter().map(|blob| blob.digest).collect()
}

#[tokio::test]
async fn blobs_that_another_site_got_since_the_erasure_was_planned_stay() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let (content, encoded) = (erasure.contents[0].digest, Digest::of(b"encoded"));
    assert_eq!(database.removed_by(&erasure).await.unwrap(), [content, encoded].into());
    database.add_blobs(&news(), &[(content, 4)]).await.unwrap();
    assert_eq!(database.removed_by(&erasure).await.unwrap(), HashSet::new());
    assert_eq!(erase(&database, &erasure, &SiteManifests::default()).await, Some([content].into()));
    assert!(database.encoding(content, Coding::Br, 1).await.unwrap().is_some());
    let needed = database.needed_blobs(&[content, encoded].into()).await.unwrap();
    assert_eq!(needed, [content, encoded].into());
    database.close().await;
}

#[tokio::test]
async fn site_does_not_get_back_a_blob_that_it_gave_up_while_another_site_has_it() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let content = erasure.contents[0].digest;
    database.add_blobs(&news(), &[(content, 4)]).await.unwrap();
    erase(&database, &erasure, &SiteManifests::default()).await.unwrap();
    // The end of a pack that began before.
    database.add_blobs(&demo(), &[(content, 4)]).await.unwrap();
    assert_eq!(database.blobs_of(&demo()).await.unwrap(), HashMap::new());
    assert_eq!(records(&database).await, [content].into());
    database.close().await;
}

#[tokio::test]
async fn blobs_that_are_of_other_encodings_or_manifests_too_stay() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let long = |end: &str| Content::cut(&[vec![7; 256 << 10], end.into()].concat().into());
    let (one, other) = (long("one"), long("other"));
    let [common, own] = one.1.iter().map(Blob::digest).collect::<Vec<_>>()[..] else { panic!("two blobs") };
    assert_eq!(other.1[0].digest(), common);
    let of = Digest::of(b"another content");
    put(&database, EncodingRow { of, coding: Coding::Br, level: 11, encoded: Some(other) }).await;
    let mut erasure = planned(&database, "text", one).await;
    let content = erasure.contents[0].digest;
    // Manifests are blobs of the same store.
    let manifest = Digest::of(b"manifest");
    erasure.contents[0].own_blobs.push(manifest);
    let mut transaction = database.begin().await.unwrap();
    sqlx::query("insert into manifest (id, content) values ($1, '')")
        .bind(manifest.to_string())
        .execute(&mut *transaction)
        .await
        .unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(database.removed_by(&erasure).await.unwrap(), [content, own].into());
    erase(&database, &erasure, &SiteManifests::default()).await.unwrap();
    let needed = database.needed_blobs(&[common, own, content].into()).await.unwrap();
    assert_eq!(needed, [common].into());
    database.close().await;
}

#[tokio::test]
async fn blobs_of_encodings_that_no_manifest_has_are_removed_but_those_that_the_site_has_otherwise() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let of = erasure.contents[0].digest;
    for (level, encoded) in [(1, Some("faster")), (2, Some("a file")), (3, None)] {
        put(&database, EncodingRow { of, coding: Coding::Br, level, encoded: encoded.map(cut) }).await;
    }
    database.add_blobs(&demo(), &[(Digest::of(b"a file"), 6)]).await.unwrap();
    let removed = database.removed_by(&erasure).await.unwrap();
    assert_eq!(removed, [of, Digest::of(b"encoded"), Digest::of(b"faster")].into());
    assert_eq!(erase(&database, &erasure, &SiteManifests::default()).await.as_ref(), Some(&removed));
    assert_eq!(records(&database).await, removed);
    database.close().await;
}

#[tokio::test]
async fn encodings_of_a_content_that_was_erased_before_are_not_stored() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let of = erasure.contents[0].digest;
    erase(&database, &erasure, &SiteManifests::default()).await.unwrap();
    let row = EncodingRow { of, coding: Coding::Gzip, level: 9, encoded: Some(cut("late")) };
    database.put_encodings(&demo(), vec![row], async |_| panic!("stored")).await.unwrap();
    assert_eq!(database.encoding(of, Coding::Gzip, 9).await.unwrap(), None);
    assert!(database.needed_blobs(&[Digest::of(b"late")].into()).await.unwrap().is_empty());
    database.close().await;
}

#[tokio::test]
async fn encodings_of_a_content_that_is_erased_while_they_are_stored_are_not_recorded_but_removed() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let (of, late) = (erasure.contents[0].digest, Digest::of(b"late"));
    let row = EncodingRow { of, coding: Coding::Gzip, level: 9, encoded: Some(cut("late")) };
    let store = async |_| {
        erase(&database, &erasure, &SiteManifests::default()).await.unwrap();
        Ok(())
    };
    database.put_encodings(&demo(), vec![row], store).await.unwrap();
    assert_eq!(database.encoding(of, Coding::Gzip, 9).await.unwrap(), None);
    assert!(records(&database).await.contains(&late));
    assert!(database.needed_blobs(&[late].into()).await.unwrap().is_empty());
    database.close().await;
}

#[tokio::test]
async fn blobs_of_an_encoding_that_was_never_recorded_are_removed_with_its_content() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let row = EncodingRow {
        of: erasure.contents[0].digest,
        coding: Coding::Gzip,
        level: 9,
        encoded: Some(cut("stored and not recorded")),
    };
    // As if the process was killed.
    let store = async |_| Err(StoreError::Sync(std::io::ErrorKind::Interrupted.into()));
    database.put_encodings(&demo(), vec![row], store).await.unwrap_err();
    let removed = erase(&database, &erasure, &SiteManifests::default()).await.unwrap();
    assert!(removed.contains(&Digest::of(b"stored and not recorded")));
    database.close().await;
}

/// The erasure of one content more than one transaction erases, which the site `demo` holds.
async fn large(database: &Database) -> NewErasure {
    let digests: Vec<Digest> = (0..=CONTENTS_AT_ONCE).map(|n| Digest::of(n.to_string().as_bytes())).collect();
    let blobs: Vec<_> = digests.iter().map(|digest| (*digest, 1)).collect();
    database.add_blobs(&demo(), &blobs).await.unwrap();
    let erased = |digest| NewErased {
        digest,
        path: "a".parse().unwrap(),
        blobs: vec![digest],
        own_blobs: vec![digest],
        encoded_blobs: Vec::new(),
    };
    NewErasure { site: demo(), contents: digests.into_iter().map(erased).collect() }
}

#[test]
fn transactions_are_of_a_bounded_number_of_contents_and_of_blobs_unless_one_content_has_more() {
    let erased = |blobs: usize, encoded: usize| {
        let digest = Digest::of(b"a");
        let (blobs, encoded_blobs) = (vec![digest; blobs], vec![digest; encoded]);
        NewErased { digest, path: "a".parse().unwrap(), blobs, own_blobs: Vec::new(), encoded_blobs }
    };
    let sizes = |contents: &[(usize, usize)]| {
        let contents: Vec<_> = contents.iter().map(|(blobs, encoded)| erased(*blobs, *encoded)).collect();
        batches(&contents).into_iter().map(<[_]>::len).collect::<Vec<_>>()
    };
    assert_eq!(sizes(&[]), [0; 0]);
    assert_eq!(sizes(&[(1, 0); CONTENTS_AT_ONCE + 1]), [CONTENTS_AT_ONCE, 1]);
    assert_eq!(sizes(&[(BLOBS_AT_ONCE - 1, 1), (1, 0), (BLOBS_AT_ONCE - 2, 1), (0, 1)]), [1, 2, 1]);
    assert_eq!(sizes(&[(1, 0), (2 * BLOBS_AT_ONCE, 0), (2 * BLOBS_AT_ONCE, 0), (1, 0)]), [1, 1, 1, 1]);
}

#[tokio::test]
async fn others_write_between_the_transactions_of_a_large_erasure() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = large(&database).await;
    let write = async || assert!(database.create_site(&"other".parse().unwrap(), Timestamp(1500)).await.unwrap());
    let (from, now) = (SiteManifests::default(), Timestamp(2000));
    let erased = database.erase(&erasure, &purge(), &from, now, <[_]>::to_vec, write).await.unwrap().unwrap();
    assert_eq!(erased.given_up.len(), CONTENTS_AT_ONCE + 1);
    assert_eq!(database.erased(&demo()).await.unwrap().len(), CONTENTS_AT_ONCE + 1);
    assert!(database.site(&"other".parse().unwrap()).await.unwrap().is_some());
    database.close().await;
}

#[tokio::test]
async fn erasure_that_ended_between_its_transactions_is_completed_when_it_is_made_again() {
    let directory = tempfile::tempdir().unwrap();
    let before = database(&directory).await;
    let erasure = large(&before).await;
    let (crash, crashed) = (tokio::sync::Notify::new(), std::future::pending::<()>);
    let committed = async || {
        crash.notify_one();
        crashed().await;
    };
    let (purge, from, now) = (purge(), SiteManifests::default(), Timestamp(2000));
    tokio::select! {
        _ = before.erase(&erasure, &purge, &from, now, <[_]>::to_vec, committed) => panic!("no second transaction"),
        () = crash.notified() => {}
    }
    before.close().await;

    let database = database(&directory).await;
    assert_eq!(database.erased(&demo()).await.unwrap().len(), CONTENTS_AT_ONCE);
    assert_eq!(records(&database).await.len(), CONTENTS_AT_ONCE, "their blobs will be removed");
    let seq = database.position().await.unwrap().seq;
    assert_eq!(database.purge_time(&demo(), Seq(1)).await.unwrap(), None);
    let from = database.site_manifests(&demo()).await.unwrap();
    let erased = database.erase(&erasure, &purge, &from, now, <[_]>::to_vec, async || {}).await.unwrap().unwrap();
    assert!(erased.position.seq > seq);
    assert_eq!(database.purge_time(&demo(), Seq(1)).await.unwrap(), Some(now));
    let all: HashSet<Digest> = erasure.contents.iter().map(|content| content.digest).collect();
    assert_eq!(database.erased(&demo()).await.unwrap().into_keys().collect::<HashSet<_>>(), all);
    assert_eq!(records(&database).await, all);
    database.close().await;
}

#[tokio::test]
async fn erasure_that_was_planned_from_other_manifests_is_not_made() {
    let directory = tempfile::tempdir().unwrap();
    let database = database(&directory).await;
    let erasure = planned(&database, "text", cut("encoded")).await;
    let digest = erasure.contents[0].digest;
    let released = SiteManifests { releases: vec![(ReleaseNumber(1), digest)], ..SiteManifests::default() };
    let in_use = SiteManifests { in_use: vec![(ChannelName::live(), digest)], ..SiteManifests::default() };
    let erased = SiteManifests { erased: [digest].into(), ..SiteManifests::default() };
    for from in [released, in_use, erased] {
        assert_eq!(erase(&database, &erasure, &from).await, None);
    }
    assert_eq!(database.erased(&demo()).await.unwrap(), HashMap::new());
    assert!(database.needed_blobs(&[digest].into()).await.unwrap().contains(&digest));
    database.close().await;
}
