//! HTTP/2 rules, tested frame by frame.

use verge_test_kit::release;

use super::http2_socket::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, HEADERS, Http2Socket, Outcome, PROTOCOL_ERROR,
    RST_STREAM, WINDOW_UPDATE, get,
};
use super::world::World;

async fn demo() -> World {
    let world = World::start().await;
    let site = release(&[("index.html", "hi"), ("404.html", "lost")]);
    world.wait_until_served(world.origin.publish("demo/live", 1, &site, &[])).await;
    world
}

fn response(status: u16, body: &str) -> Outcome {
    Outcome::Response(status, body.to_owned())
}

#[tokio::test]
async fn http2_request_that_ends_with_empty_data_is_a_get_like_others() {
    let world = demo().await;
    let mut socket = Http2Socket::connect(world.edge.public_addr()).await;
    for (stream, fields) in [(1, &[][..]), (3, &[("content-length", "0")])] {
        socket.start_get(stream, b"/", fields).await;
        socket.send(DATA, END_STREAM, stream, &[]).await;
        assert_eq!(socket.outcome(stream).await, response(200, "hi"));
    }
    // Empty data before it, and trailers after it.
    socket.start_get(5, b"/", &[]).await;
    socket.send(DATA, 0, 5, &[]).await;
    socket.send(DATA, 0, 5, &[]).await;
    socket.send(HEADERS, END_HEADERS | END_STREAM, 5, b"\0\x01x\x01y").await;
    assert_eq!(socket.outcome(5).await, response(200, "hi"));
    assert_eq!(socket.get(7, b"/", &[("content-length", "0")]).await, response(200, "hi"));
    // The request that waits for its end delays no other.
    socket.start_get(9, b"/", &[]).await;
    assert_eq!(socket.get(11, b"/none", &[]).await, response(404, "lost"));
    socket.send(DATA, END_STREAM, 9, &[]).await;
    assert_eq!(socket.outcome(9).await, response(200, "hi"));
    drop(socket);
    world.stop().await;
}

#[tokio::test]
async fn http2_request_with_a_body_is_413() {
    let world = demo().await;
    let mut socket = Http2Socket::connect(world.edge.public_addr()).await;
    let refused = response(413, "Requests must not have a body.\n");
    for (stream, fields) in [(1, &[][..]), (3, &[("content-length", "1")])] {
        socket.start_get(stream, b"/", fields).await;
        socket.send(DATA, END_STREAM, stream, b"x").await;
        assert_eq!(socket.outcome(stream).await, refused);
    }
    socket.start_get(5, b"/", &[]).await;
    socket.send(DATA, 0, 5, b"x").await;
    assert_eq!(socket.outcome(5).await, refused, "it does not wait for the end");
    assert_eq!(socket.get(7, b"/", &[]).await, response(200, "hi"));
    drop(socket);
    world.stop().await;
}

#[tokio::test]
async fn http2_request_that_is_too_long_or_expects_more_is_refused() {
    let world = demo().await;
    let mut socket = Http2Socket::connect(world.edge.public_addr()).await;
    let path = |length: usize| [b"/".to_vec(), vec![b'a'; length]].concat();
    assert_eq!(socket.get(1, &path(8191), &[]).await, response(404, "lost"));
    assert_eq!(socket.get(3, &path(8192), &[]).await, response(414, "The address is too long.\n"));
    let status = |outcome| if let Outcome::Response(status, _) = outcome { status } else { 0 };
    assert_eq!(status(socket.get(5, b"/", &[("expect", "something-else")]).await), 417);
    assert_eq!(status(socket.get(7, b"/", &[("expect", "100-continue")]).await), 200);
    let long = "a".repeat(16_200);
    assert_eq!(status(socket.get(9, b"/", &[("x", &long)]).await), 431);
    assert_eq!(status(socket.get(11, b"/", &[]).await), 200);
    drop(socket);
    world.stop().await;
}

/// hyper's HTTP/2 has no requests with such bytes: they end their stream, or if they are no UTF-8 the connection. Browsers encode them.
#[tokio::test]
async fn http2_path_with_bytes_that_no_uri_has_is_no_response() {
    let world = demo().await;
    let mut socket = Http2Socket::connect(world.edge.public_addr()).await;
    for (stream, path) in [(1, &b"/{}|^\""[..]), (3, "/ü".as_bytes()), (5, b"/%3C%E9")] {
        assert_eq!(socket.get(stream, path, &[]).await, response(404, "lost"), "{path:?}");
    }
    for (stream, path) in [(7, &b"/<"[..]), (9, b"/>"), (11, b"/`"), (13, b"/?\""), (15, b"/\0"), (17, b"/a b")] {
        assert_eq!(socket.get(stream, path, &[]).await, Outcome::Reset(PROTOCOL_ERROR), "{path:?}");
    }
    assert_eq!(socket.get(19, b"/", &[]).await, response(200, "hi"));
    assert_eq!(socket.get(21, b"/\xe9", &[]).await, Outcome::GoAway(PROTOCOL_ERROR));
    drop(socket);
    world.stop().await;
}

/// Rapid Reset (CVE-2023-44487), CONTINUATION (CVE-2024-27316) and `MadeYouReset` (CVE-2025-8671).
#[tokio::test]
async fn http2_floods_end_their_connection_and_no_other() {
    let world = demo().await;
    let mut other = Http2Socket::connect(world.edge.public_addr()).await;
    assert_eq!(other.get(1, b"/", &[]).await, response(200, "hi"));

    let mut resets = Http2Socket::connect(world.edge.public_addr()).await;
    for stream in (1..20_000).step_by(2) {
        resets.send(HEADERS, END_HEADERS | END_STREAM, stream, &get(b"/", &[])).await;
        resets.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
    }
    let ended = resets.outcome(20_001).await;
    assert!(matches!(ended, Outcome::GoAway(ENHANCE_YOUR_CALM) | Outcome::Closed), "{ended:?}");

    let mut continuations = Http2Socket::connect(world.edge.public_addr()).await;
    continuations.send(HEADERS, END_STREAM, 1, &get(b"/", &[])).await;
    for _ in 0..10_000 {
        continuations.send(CONTINUATION, 0, 1, &get(b"/", &[])).await;
    }
    let ended = continuations.outcome(1).await;
    assert!(matches!(ended, Outcome::GoAway(_) | Outcome::Closed), "{ended:?}");

    // A window that grows by 0 makes the server reset the stream.
    let mut made = Http2Socket::connect(world.edge.public_addr()).await;
    for stream in (1..20_000).step_by(2) {
        made.send(HEADERS, END_HEADERS, stream, &get(b"/", &[])).await;
        made.send(WINDOW_UPDATE, 0, stream, &[0, 0, 0, 0]).await;
    }
    let ended = made.outcome(20_001).await;
    assert!(matches!(ended, Outcome::GoAway(_) | Outcome::Closed), "{ended:?}");

    assert_eq!(other.get(3, b"/", &[]).await, response(200, "hi"));
    drop((other, resets, continuations, made));
    world.stop().await;
}
