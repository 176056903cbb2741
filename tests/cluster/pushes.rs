//! Pushes over bad lines.

use verge_test_kit::{Link, Proxy};
use verge_tests::World;

/// Twenty megabytes that nothing compresses, through a line that cuts each connection after three.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_goes_on_after_every_cut() {
    let world = World::start(1).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("index.html"), "page").unwrap();
    let mut noise = 1_u64;
    for number in 0..20 {
        let bytes: Vec<u8> = std::iter::repeat_with(|| {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (noise >> 56) as u8
        })
        .take(1 << 20)
        .collect();
        std::fs::write(folder.path().join(format!("{number}.bin")), bytes).unwrap();
    }
    let proxy = Proxy::start(world.origin_address(), Link::good().cut_after(|_| 3 << 20)).await;
    let client = world.client_through(proxy.addr());
    let pushed = world.push_folder(&client, "demo", folder.path()).await.unwrap();
    assert!(proxy.cuts() > 0, "the line was cut");
    assert_eq!(pushed.files, 21);
    let kept = world.origin_metric("verge_origin_blob_bytes_stored").await;
    assert!(
        kept < 1.5 * 20.0 * f64::from(1 << 20),
        "{kept} bytes were kept for 20 MiB: what came before a cut was sent again"
    );

    let again = world.push_folder(&client, "demo", folder.path()).await.unwrap();
    assert_eq!((again.sent_bytes, again.changes.unchanged), (0, 21));
    drop(client);
    proxy.stop().await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_not_there_is_named() {
    let mut world = World::start(0).await;
    world.stop_origin().await;
    let address = world.origin_address();
    let error = world.try_push(&world.client(), "demo", &[("index.html", "x")]).await.unwrap_err();
    assert!(error.to_string().contains(&address.to_string()), "{error}");
    world.stop().await;
}
