//! Local addresses: which are listened on, and which responses come from.

use std::net::{IpAddr, SocketAddr};

use tokio::net::UdpSocket;
use verge_test_kit::in_time;

use super::query::query;
use super::tcp::Connection;
use super::world::{World, udp};

const WWW: &str = "NOERROR aa = www 3600 A 192.0.2.80";

async fn answers_from(resolver: &str, asked: SocketAddr) {
    let socket = UdpSocket::bind((resolver.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
    socket.send_to(&query("www.example.com A").bytes(), asked).await.unwrap();
    let mut buffer = [0; 512];
    let (_, from) = in_time("an answer", socket.recv_from(&mut buffer)).await.unwrap();
    assert_eq!(from, asked);
}

#[tokio::test]
async fn udp_response_comes_from_the_queried_address() {
    let any = ["0.0.0.0:0", "[::]:0"].map(|address| address.parse().unwrap());
    let world = World::with(|config| config.listen = vec!["127.0.0.1:0".parse().unwrap(), any[0], any[1]]).await;
    let [one, four, six] = *world.name_server.dns_addrs() else { panic!("as many as configured") };
    answers_from("127.0.0.1", one).await;
    for last in [1, 5, 200] {
        let asked = SocketAddr::from(([127, 0, 0, last], four.port()));
        // Also if the kernel would choose another source address.
        answers_from("127.0.0.1", asked).await;
        answers_from("127.0.0.7", asked).await;
    }
    answers_from("::1", ([0, 0, 0, 0, 0, 0, 0, 1], six.port()).into()).await;
    world.stop().await;
}

/// As in the sample configuration.
#[tokio::test]
async fn ipv4_and_ipv6_wildcards_share_one_port() {
    let port = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let any = ["0.0.0.0", "::"].map(|address| SocketAddr::new(address.parse().unwrap(), port));
    let world = World::with(|config| config.listen = any.to_vec()).await;
    for address in ["127.0.0.1", "::1"] {
        let asked = SocketAddr::new(address.parse().unwrap(), port);
        assert_eq!(udp(asked, &query("www.example.com A")).await.text(), WWW);
        assert_eq!(Connection::to(asked).await.ask(&query("www.example.com A")).await.text(), WWW);
    }
    world.stop().await;
}

#[tokio::test]
async fn listeners_on_several_addresses_answer_over_udp_and_tcp() {
    let world = World::with(|config| {
        config.listen = ["127.0.0.1:0", "127.0.0.2:0", "[::1]:0"].map(|address| address.parse().unwrap()).to_vec();
    })
    .await;
    for address in world.name_server.dns_addrs() {
        assert_eq!(udp(*address, &query("www.example.com A")).await.text(), WWW);
        assert_eq!(Connection::to(*address).await.ask(&query("www.example.com A")).await.text(), WWW);
    }
    world.stop().await;
}

/// The kernel chooses the worker by the source port of the query.
#[tokio::test]
async fn queries_to_any_worker_are_answered() {
    let world = World::with(|config| config.workers = 4).await;
    for _ in 0..64 {
        assert_eq!(world.udp(&query("www.example.com A")).await.text(), WWW);
    }
    world.stop().await;
}
