//! Clients that take more than their share.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use verge_edge::config::ByteSize;
use verge_protocol::BLOB_MAX;
use verge_test_kit::{in_time, noise, release, until};

use super::world::World;

/// A reader whose kernel takes a few KiB, and who takes nothing.
async fn stalled(world: &World, path: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut stream = socket.connect(world.edge.public_addr()).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: demo.localhost\r\n\r\n").as_bytes()).await.unwrap();
    stream
}

#[tokio::test]
async fn readers_that_take_nothing_give_way_to_those_who_wait_for_memory() {
    let world = World::with_memory_in_flight(ByteSize(4 * BLOB_MAX as u64)).await;
    let files: Vec<_> = (0..8).map(|number| (format!("{number}.bin"), noise(number, 12 * BLOB_MAX))).collect();
    let files: Vec<_> = files.iter().map(|(name, bytes)| (name.as_str(), bytes.as_slice())).collect();
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&files), &[])).await;
    let mut readers = Vec::new();
    for number in 0..7 {
        readers.push(stalled(&world, &format!("/{number}.bin")).await);
    }
    until("the memory to be taken", async || world.origin.requested().len() >= 4).await;
    let response = in_time("a response", world.get("demo.localhost", "/7.bin").send()).await.unwrap();
    let bytes = in_time("the body", response.bytes()).await.unwrap();
    assert_eq!(bytes, files[7].1);
    // One of them at least was closed for it.
    let closed = async {
        for reader in &mut readers {
            let mut rest = Vec::new();
            if reader.read_to_end(&mut rest).await.is_err() {
                return;
            }
        }
        panic!("all were served");
    };
    in_time("a reader to be closed", closed).await;
    drop(readers);
    world.stop().await;
}

#[tokio::test]
async fn many_slow_readers_share_little_memory() {
    let world = World::with_memory_in_flight(ByteSize(2 * BLOB_MAX as u64)).await;
    let big = noise(1, 5 * BLOB_MAX + 77);
    world.wait_until_served(world.origin.publish("demo/live", 1, &release(&[("big.bin", &big)]), &[])).await;
    let reads = (0..40).map(|_| async {
        let response = world.get("demo.localhost", "/big.bin").send().await.unwrap();
        assert_eq!(response.bytes().await.unwrap(), big);
    });
    in_time("all readers", futures_util::future::join_all(reads)).await;
    world.stop().await;
}
