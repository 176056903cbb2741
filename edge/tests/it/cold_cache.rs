//! Reads of blobs that are neither in memory nor on disk.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use verge_protocol::health::HEALTH_PATH;
use verge_protocol::{BLOB_MAX, Digest};
use verge_test_kit::{in_time, noise, release, until};

use super::world::World;

#[tokio::test]
async fn thousand_readers_of_a_cold_blob_cause_one_fetch() {
    let world = World::cold().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.close_gate();
    // Ten connections of a hundred streams each, because a thousand sockets would only slow the test down.
    let readers: Vec<_> = (0..10).map(|_| world.http2_reader()).collect();
    let reads: Vec<_> = readers
        .iter()
        .flat_map(|reader| std::iter::repeat_n(reader, 100))
        .map(|reader| {
            let request = reader.get(world.url("demo.localhost", "/"));
            world.edge.tasks().spawn("test reader", async move { request.send().await.unwrap().text().await.unwrap() })
        })
        .collect();
    until("the fetch", async || world.origin.requests(Digest::of(b"hi")) == 1).await;
    // On the same connections, so that what was sent before has arrived.
    for reader in &readers {
        assert_eq!(reader.get(world.url("demo.localhost", HEALTH_PATH)).send().await.unwrap().status(), 200);
    }
    // The reader that started the fetch disconnects.
    reads[0].abort();
    world.origin.open_gate();
    for read in reads.into_iter().skip(1) {
        assert_eq!(read.await.unwrap().unwrap(), "hi");
    }
    assert_eq!(world.origin.requests(Digest::of(b"hi")), 1);
    world.stop().await;
}

#[tokio::test]
async fn connections_to_the_origin_are_used_again_for_cold_blobs() {
    let world = World::cold().await;
    let files: Vec<_> = (0..20).map(|number| (format!("{number}.txt"), format!("text {number}"))).collect();
    let files: Vec<_> = files.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&files), &[])).await;
    let before = world.origin.connections();
    for (name, text) in files {
        assert_eq!(world.read(&format!("/{name}")).await, (200, text.to_owned()));
    }
    // The next one may be asked for before the last answer has ended.
    let opened = world.origin.connections() - before;
    assert!(opened <= 10, "{opened}");
    world.stop().await;
}

#[tokio::test]
async fn blob_with_wrong_bytes_is_never_served() {
    let world = World::cold().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.misbehave(|faults| faults.corrupt = [Digest::of(b"hi")].into());
    let response = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!(response.status(), 502);
    assert_eq!(response.headers()["cache-control"], "no-store");
    assert!(!response.text().await.unwrap().contains("evil"));
    assert_eq!(world.origin.requests(Digest::of(b"hi")), 2);
    world.origin.misbehave(|faults| faults.corrupt.clear());
    until("the remembered failure to expire", async || world.read("/").await == (200, "hi".to_owned())).await;
    world.stop().await;
}

#[tokio::test]
async fn blob_missing_at_the_origin_is_requested_once_per_failure_ttl() {
    let world = World::cold().await;
    let site = release(&[("index.html", "hi")]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world.origin.lose_blob(Digest::of(b"hi"));
    // Later requests are answered from the remembered failure.
    assert_eq!(world.read("/").await.0, 502);
    assert_eq!(world.origin.requests(Digest::of(b"hi")), 1);
    for _ in 0..10 {
        assert_eq!(world.read("/").await.0, 502);
    }
    // On a slow machine the failure may expire once or twice meanwhile.
    assert!(world.origin.requests(Digest::of(b"hi")) < 11);
    world.origin.add_release(&site);
    until("the remembered failure to expire", async || world.read("/").await == (200, "hi".to_owned())).await;
    world.stop().await;
}

#[tokio::test]
async fn pack_that_never_ends_does_not_delay_readers() {
    let world = World::cold().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.misbehave(|faults| faults.endless_packs = true);
    let read = tokio::time::timeout(Duration::from_secs(5), world.read("/")).await;
    assert_eq!(read, Ok((200, "hi".to_owned())));
    world.stop().await;
}

#[tokio::test]
async fn truncated_pack_is_requested_again() {
    let world = World::cold().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.misbehave(|faults| faults.cuts = 1);
    assert_eq!(world.read("/").await, (200, "hi".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn prefetching_after_a_truncated_pack_continues() {
    let world = World::start().await;
    world.origin.misbehave(|faults| faults.cuts = 2);
    let big = noise(0, 10 * BLOB_MAX);
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    world.wait_for_blobs_on_disk(10).await;
    world.stop().await;
}

#[tokio::test]
async fn cold_blob_without_an_origin_is_503() {
    let mut world = World::cold().await;
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.go_offline().await;
    let response = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!((response.status().as_u16(), &response.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(response.headers()["cache-status"], "test-1; fwd=miss");
    // Later requests cause no further attempt each; on a slow machine the remembered failure may expire meanwhile.
    for _ in 0..10 {
        assert_eq!(world.read("/").await.0, 503);
    }
    assert!(world.metric("verge_edge_upstream_blobs_total").await < Some(22.0));
    // A 304 needs no blob.
    let etag = format!("\"{}\"", Digest::of(b"hi"));
    let request = world.get("demo.localhost", "/").header("if-none-match", etag);
    assert_eq!(request.send().await.unwrap().status(), 304);
    world.stop().await;
}

#[tokio::test]
async fn body_that_fails_midway_closes_the_connection() {
    let world = World::cold().await;
    let big = noise(0, 5 * BLOB_MAX);
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    world.origin.lose_blob(Digest::of(&big[4 * BLOB_MAX..]));
    let response = world.get("demo.localhost", "/big.bin").send().await.unwrap();
    assert_eq!((response.status().as_u16(), response.content_length()), (200, Some(big.len() as u64)));
    assert!(response.bytes().await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn range_of_a_huge_file_fetches_only_its_blobs() {
    let world = World::cold().await;
    let big = noise(0, 40 * BLOB_MAX);
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    let start = 20 * BLOB_MAX - 5;
    let range = format!("bytes={start}-{}", start + 9);
    let response = world.get("demo.localhost", "/big.bin").header("range", range).send().await.unwrap();
    assert_eq!(response.status(), 206);
    assert_eq!(response.bytes().await.unwrap(), big[start..start + 10]);
    assert_eq!(world.origin.requested().len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn stalled_reader_does_not_cause_fetches() {
    let world = World::cold().await;
    let big = noise(0, 200 * BLOB_MAX);
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    // A fixed buffer size: the kernel would let it grow to whatever this host allows.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(256 << 10).unwrap();
    let mut stream = socket.connect(world.edge.public_addr()).await.unwrap();
    stream.write_all(b"GET /big.bin HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    // The head has arrived, so the body is being sent into buffers that are not read.
    let mut head = [0; 64];
    in_time("the head", stream.read_exact(&mut head)).await.unwrap();
    let mut before = 0;
    until("the fetches to stop", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let requested = world.origin.requested().len();
        std::mem::replace(&mut before, requested) == requested
    })
    .await;
    // Sockets hold some megabytes; the edge adds three blobs.
    assert!(before < 100, "{before} of 200 blobs were fetched for a stalled reader");
    let mut rest = Vec::new();
    in_time("the rest", stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.ends_with(&big[big.len() - 1000..]));
    world.stop().await;
}
