use axum::body::Body;
use axum::response::IntoResponse as _;
use verge_daemon::{Clock, Tasks};
use verge_protocol::api::Limits;
use verge_protocol::purge::PurgeScope;
use verge_protocol::{Blob, Content, Timestamp, compression, pack};
use verge_test_kit::until;

use super::*;
use crate::store::{BlobLookup, Blobs, Database, ErasedBlob, NewErased, NewErasure, NewPurge, SiteManifests};

fn demo() -> SiteName {
    "demo".parse().unwrap()
}

async fn uploads(directory: &std::path::Path) -> Uploads {
    let database = Database::open(&directory.join("origin.db"), Timestamp(1000)).await.unwrap();
    database.create_site(&demo(), Timestamp(1000)).await.unwrap();
    Uploads {
        database,
        blobs: Blobs::open(directory).await.unwrap(),
        clock: Clock::manual(Timestamp(1000)),
        tasks: Tasks::default(),
        metrics: Arc::default(),
        limits: Limits { files: 1, file_bytes: 100, build_bytes: 100, pack_bytes: 1000 },
        active_packs: crate::uploads::ActivePacks::default(),
        description_slots: crate::uploads::DescriptionSlots::new(1 << 20),
    }
}

/// Erases a content of one blob from the site `demo`.
async fn erase(database: &Database, digest: Digest) {
    database.add_blobs(&demo(), &[(digest, 6)]).await.unwrap();
    let path = "keys.json".parse().unwrap();
    let (blobs, own_blobs) = (vec![digest], vec![digest]);
    let erasure = NewErasure {
        site: demo(),
        contents: vec![NewErased { digest, path, blobs, own_blobs, encoded_blobs: Vec::new() }],
    };
    let purge = NewPurge { site: demo(), scope: PurgeScope::All, author: None, message: None };
    let (from, now) = (SiteManifests::default(), Timestamp(2000));
    database.erase(&erasure, &purge, &from, now, <[_]>::to_vec, async || {}).await.unwrap().unwrap();
}

#[tokio::test]
async fn pack_that_joins_a_build_as_its_last_pack_ends_is_refused_if_a_blob_was_erased() {
    let directory = tempfile::tempdir().unwrap();
    let uploads = uploads(directory.path()).await;
    let Uploads { database, blobs, active_packs, .. } = &uploads;
    let blob = Blob::of("secret".into()).unwrap();
    let build = serde_json::json!({ "files": { "keys.json": Content::cut(&"secret".into()).0 } }).to_string();
    let (site, id) = (demo(), description::build_id(build.as_bytes()));
    blobs.put_build(&site, &id, compression::compress(build.as_bytes()).into()).await.unwrap();
    let expected = Arc::new(expected_blobs(&description::parse(build.as_bytes(), &uploads.limits).unwrap()));
    let StartedPack::Unchecked(first) = active_packs.start(&site, &id, expected) else { panic!("checked") };
    let first = first.set_checked();
    erase(database, blob.digest()).await;

    // Another pack waits for the removal, during which the first one ends.
    let removal = blobs.lock_removals().await;
    let contents = Contents { database: database.clone(), blobs: blobs.clone(), metrics: Arc::clone(&uploads.metrics) };
    let body = [pack::blob_frame(&blob), pack::end_frame()].concat();
    let params = PathParams((site.clone(), id.clone()));
    let second = upload_blobs(Admin, State(uploads.clone()), State(contents), params, Request::new(Body::from(body)));
    let remove = async {
        until("the second pack has begun", async || database.has_build(&site, &id).await.unwrap()).await;
        drop(first);
        assert!(active_packs.expected_of(&[blob.digest()].into()).is_empty());
        let erased = ErasedBlob { site: site.clone(), digest: blob.digest() };
        database.forget_erased_blobs(&[erased], &[]).await.unwrap();
        drop(removal);
    };
    let (refused, ()) = tokio::join!(second, remove);
    assert_eq!(refused.unwrap_err().into_response().status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert!(matches!(blobs.get(blob.digest()).await.unwrap(), BlobLookup::Missing));
    assert!(active_packs.expected(&site, &id).is_none());
    database.close().await;
}

#[tokio::test]
async fn build_with_rules_beyond_limits_is_refused_and_one_that_was_stored_before_is_not_released_in_part() {
    let directory = tempfile::tempdir().unwrap();
    let uploads = uploads(directory.path()).await;
    let rule = |number: usize| serde_json::json!({ "from": format!("/{number}{}", "/a".repeat(120)), "to": "/", "status": 301 });
    let rules = serde_json::json!({
        "redirects": (0..4000).map(rule).collect::<Vec<_>>(), "passwords": [{ "for": "/*", "users": [] }],
    });
    let content = Content::cut(&"secret".into()).0;
    let build = serde_json::json!({ "files": { "keys.json": content }, "rules": rules }).to_string();
    let (site, id) = (demo(), description::build_id(build.as_bytes()));
    let compressed = compression::compress(build.as_bytes());
    uploads.blobs.put_build(&site, &id, compressed.into()).await.unwrap();
    uploads.database.touch_build(&site, &id, Timestamp(1000)).await.unwrap();
    for refused in [description::parse(build.as_bytes(), &uploads.limits), load(&uploads, &site, &id).await] {
        let error = refused.unwrap_err();
        assert!(format!("{error:?}").contains("more than 400000 segments"), "{error:?}");
        assert_eq!(error.into_response().status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
