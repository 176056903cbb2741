//! Blobs that are neither in memory nor on disk.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpSocket;
use verge_protocol::{BLOB_MAX, Digest};

use super::release::{noise, release};
use super::world::{World, patiently, until};

#[tokio::test]
async fn a_thousand_readers_of_a_cold_blob_cost_one_fetch() {
    let world = World::cold().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.close_gate();
    // Ten connections of a hundred streams each: a thousand sockets would be about the test, not about the edge.
    let readers = (0..10).map(|_| world.http2_reader());
    let reads: Vec<_> = readers
        .flat_map(|reader| std::iter::repeat_n(reader, 100))
        .map(|reader| {
            let request = reader.get(world.url("demo.localhost", "/"));
            world.edge.tasks().spawn("test reader", async move { request.send().await.unwrap().text().await.unwrap() })
        })
        .collect();
    until("everybody to wait", async || world.edge.tasks().running().get("http/2 stream") >= Some(&1000)).await;
    // The first goes away.
    reads[0].abort();
    world.origin.open_gate();
    for read in reads.into_iter().skip(1) {
        assert_eq!(read.await.unwrap().unwrap(), "hi");
    }
    assert_eq!(world.origin.asked(Digest::of(b"hi")), 1);
    world.stop().await;
}

#[tokio::test]
async fn wrong_bytes_are_never_served() {
    let world = World::cold().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.data().garbled.insert(Digest::of(b"hi"));
    let answer = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!(answer.status(), 502);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert!(!answer.text().await.unwrap().contains("evil"));
    assert_eq!(world.origin.asked(Digest::of(b"hi")), 2);
    world.origin.data().garbled.clear();
    until("the failure to be forgotten", async || world.read("/").await == (200, "hi".to_owned())).await;
    world.stop().await;
}

#[tokio::test]
async fn what_an_origin_does_not_hold_is_asked_for_once() {
    let world = World::cold().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    let blob = world.origin.data().blobs.remove(&Digest::of(b"hi")).unwrap();
    // Many ask, one after the other: the first is told by the origin, the others by what it said.
    assert_eq!(world.read("/").await.0, 502);
    assert_eq!(world.origin.asked(Digest::of(b"hi")), 1);
    for _ in 0..10 {
        assert_eq!(world.read("/").await.0, 502);
    }
    // On a slow machine the moment may pass once or twice meanwhile.
    assert!(world.origin.asked(Digest::of(b"hi")) < 11);
    world.origin.data().blobs.insert(blob.digest(), blob);
    until("the failure to be forgotten", async || world.read("/").await == (200, "hi".to_owned())).await;
    world.stop().await;
}

#[tokio::test]
async fn a_pack_that_never_ends_keeps_nobody_waiting() {
    let world = World::cold().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.data().dangling = true;
    let read = tokio::time::timeout(Duration::from_secs(5), world.read("/")).await;
    assert_eq!(read, Ok((200, "hi".to_owned())));
    world.stop().await;
}

#[tokio::test]
async fn a_cut_pack_is_asked_for_again() {
    let world = World::cold().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.data().cuts = 1;
    assert_eq!(world.read("/").await, (200, "hi".to_owned()));
    world.stop().await;
}

#[tokio::test]
async fn fetching_ahead_goes_on_after_a_cut() {
    let world = World::start().await;
    world.origin.data().cuts = 2;
    let big = noise(10 * BLOB_MAX);
    world.served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    world.on_disk(10).await;
    world.stop().await;
}

#[tokio::test]
async fn without_an_origin_what_is_cold_is_unavailable() {
    let mut world = World::cold().await;
    world.served(world.origin.publish("demo/live", 1, &release(&[("index.html", "hi")]), &[])).await;
    world.origin.go_away().await;
    let answer = world.get("demo.localhost", "/").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), &answer.headers()["retry-after"]), (503, &"5".parse().unwrap()));
    assert_eq!(answer.headers()["cache-status"], "test-1; fwd=miss");
    // The next ones are told the same without another attempt each; on a slow machine the moment may pass meanwhile.
    for _ in 0..10 {
        assert_eq!(world.read("/").await.0, 503);
    }
    assert!(world.metric("verge_edge_upstream_blobs_total").await < Some(22.0));
    // What the table answers needs no blob.
    let etag = format!("\"{}\"", Digest::of(b"hi"));
    let request = world.get("demo.localhost", "/").header("if-none-match", etag);
    assert_eq!(request.send().await.unwrap().status(), 304);
    world.stop().await;
}

#[tokio::test]
async fn a_body_that_fails_midway_breaks_the_connection() {
    let world = World::cold().await;
    let big = noise(5 * BLOB_MAX);
    world.served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    world.origin.data().blobs.remove(&Digest::of(&big[4 * BLOB_MAX..]));
    let answer = world.get("demo.localhost", "/big.bin").send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.content_length()), (200, Some(big.len() as u64)));
    assert!(answer.bytes().await.is_err());
    world.stop().await;
}

#[tokio::test]
async fn a_slice_of_a_huge_file_costs_a_slice() {
    let world = World::cold().await;
    let big = noise(40 * BLOB_MAX);
    world.served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    let start = 20 * BLOB_MAX - 5;
    let range = format!("bytes={start}-{}", start + 9);
    let answer = world.get("demo.localhost", "/big.bin").header("range", range).send().await.unwrap();
    assert_eq!(answer.status(), 206);
    assert_eq!(answer.bytes().await.unwrap(), big[start..start + 10]);
    assert_eq!(world.origin.data().asked.len(), 2);
    world.stop().await;
}

#[tokio::test]
async fn a_reader_that_does_not_read_makes_nobody_fetch() {
    let world = World::cold().await;
    let big = noise(200 * BLOB_MAX);
    world.served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    // A buffer of its own size: left to the kernel, it would grow to whatever this host allows.
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(256 << 10).unwrap();
    let mut stream = socket.connect(world.edge.public_addr()).await.unwrap();
    stream.write_all(b"GET /big.bin HTTP/1.1\r\nhost: demo.localhost\r\nconnection: close\r\n\r\n").await.unwrap();
    // The head is here, so the body is on its way, into buffers that nobody empties.
    let mut head = [0; 64];
    patiently("the head", stream.read_exact(&mut head)).await.unwrap();
    let mut before = 0;
    until("the fetches to stand still", async || {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let asked = world.origin.data().asked.len();
        std::mem::replace(&mut before, asked) == asked
    })
    .await;
    // Sockets hold some megabytes; the edge adds three blobs.
    assert!(before < 100, "{before} of 200 blobs were fetched for a reader that took none");
    let mut rest = Vec::new();
    patiently("the rest", stream.read_to_end(&mut rest)).await.unwrap();
    assert!(rest.ends_with(&big[big.len() - 1000..]));
    world.stop().await;
}
