//! HTTPS records (RFC 9460) of the sites, as name servers answer them from what the origin knows of the edges.

use std::time::Duration;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::RecordType;
use tokio::net::UdpSocket;
use verge_geodns::GeoDns;
use verge_test_kit::{in_time, until};
use verge_tests::certificate_fleet::CertificateFleet;

const HOST: &str = "one.sites.example.org";

/// Whether the name has an HTTPS record.
async fn has_https_record(name_server: &GeoDns, name: &str) -> bool {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut query = Message::query();
    query.add_query(Query::query(format!("{name}.").parse().unwrap(), RecordType::HTTPS));
    socket.send_to(&query.to_vec().unwrap(), name_server.dns_addr()).await.unwrap();
    let mut buffer = [0; 1232];
    let length = in_time("the answer", socket.recv(&mut buffer)).await.unwrap();
    let answer = Message::from_vec(&buffer[..length]).unwrap();
    answer.answers.iter().any(|record| record.record_type() == RecordType::HTTPS)
}

/// How many edges with TLS present the certificate of [`HOST`], how many there are, and how many have no TLS.
async fn edges(fleet: &CertificateFleet) -> Option<(u64, u64, u64)> {
    let listed = fleet.certificates().await.into_iter().find(|listed| listed.domain.as_str() == HOST)?;
    Some((listed.edges.presenting, listed.edges.of, listed.edges.without_tls))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn https_records_are_answered_only_while_every_edge_has_tls() {
    let mut fleet = CertificateFleet::start(Duration::from_hours(24 * 90), 2).await;
    let name_server = fleet.start_name_server().await;
    fleet.stop_edge(1).await;
    fleet.start_edge_without_tls(1).await;
    fleet.admit_edge(1).await;
    fleet.push("one").await;
    until("the edge with TLS to present it", async || edges(&fleet).await == Some((1, 1, 1))).await;

    // What would confirm this certificate ends another one that is not needed any more, later in the same round.
    fleet.add_domain("one", "example.net", None).await;
    until("the other certificate", async || fleet.handshake(0, "example.net").await.is_ok()).await;
    fleet.remove_domain("example.net").await;
    until("its end", async || fleet.handshake(0, "example.net").await.is_err()).await;
    // The name server has all rows of before once it has those of this preview, which has no certificate.
    fleet.push_preview("one", "next").await;
    let preview = "next--one.sites.example.org".parse().unwrap();
    in_time("the name server", name_server.wait_until_answered(&[preview], &[])).await;
    assert!(!has_https_record(&name_server, HOST).await);

    fleet.stop_edge(1).await;
    fleet.start_edge(1).await;
    fleet.admit_edge(1).await;
    until("the record", async || has_https_record(&name_server, HOST).await).await;

    // The edge loses its TLS again.
    fleet.stop_edge(1).await;
    fleet.start_edge_without_tls(1).await;
    fleet.admit_edge(1).await;
    until("the end of the record", async || !has_https_record(&name_server, HOST).await).await;
    name_server.shutdown().await.unwrap();
    fleet.stop().await;
}
