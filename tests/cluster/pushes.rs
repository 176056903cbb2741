//! Pushes over bad connections.

use verge_test_kit::{Link, Proxy, noise};
use verge_tests::World;

/// Pushes 20 MiB of incompressible files through a proxy that cuts each connection after 3 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_over_cut_connections_resumes() {
    let world = World::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "page").unwrap();
    for (number, bytes) in noise(0, 20 << 20).chunks(1 << 20).enumerate() {
        std::fs::write(folder.path().join(format!("{number}.bin")), bytes).unwrap();
    }
    let proxy = Proxy::start(world.origin_address(), Link::good().cut_after(|_| 3 << 20)).await;
    let client = world.client_through(proxy.addr());
    let pushed = world.push_folder(&client, "demo", folder.path()).await.unwrap();
    assert!(proxy.cuts() > 0, "no connection was cut");
    assert_eq!(pushed.files, 21);
    let kept = world.origin_metric("verge_origin_blob_bytes_stored").await;
    assert!(
        kept < 1.5 * 20.0 * f64::from(1 << 20),
        "the origin stored {kept} bytes for 20 MiB: blobs from before a cut were sent again"
    );

    let again = world.push_folder(&client, "demo", folder.path()).await.unwrap();
    assert_eq!((again.sent_bytes, again.changes.unchanged), (0, 21));
    drop(client);
    proxy.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn push_to_unreachable_origin_fails_naming_its_address() {
    let mut world = World::start(0).await;
    world.stop_origin().await;
    let address = world.origin_address();
    let error = world.try_push(&world.client(), "demo", &[("index.html", "x")]).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    world.stop().await;
}
