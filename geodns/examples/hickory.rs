//! A baseline for `bench/run dns`: the UDP loop of hickory-server with a minimal handler, under which every name has the given
//! addresses. It measures what that loop, its parser and its encoder cost for a query before any look-up.
//! `cargo run --release -p verge-geodns --example hickory -- PORT ADDRESS…`
//!
//! hickory logs two lines for each query. There is no subscriber here, so that they cost next to nothing.
#![expect(clippy::unwrap_used, reason = "a tool for measurements")]

use std::net::{IpAddr, Ipv4Addr};

use async_trait::async_trait;
use hickory_server::net::runtime::Time;
use hickory_server::proto::op::{Edns, Header, HeaderCounts, Metadata};
use hickory_server::proto::rr::{RData, Record, RecordType};
use hickory_server::server::{Request, RequestHandler, ResponseHandler, ResponseInfo, Server};
use hickory_server::zone_handler::MessageResponseBuilder;
use tokio::net::UdpSocket;

const TTL: u32 = 60;

/// Answers every query with the same addresses.
struct FixedAddresses {
    a: Vec<RData>,
    aaaa: Vec<RData>,
}

#[async_trait]
impl RequestHandler for FixedAddresses {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut handle: R) -> ResponseInfo {
        let mut metadata = Metadata::response_from_request(&request.metadata);
        metadata.authoritative = true;
        // As hickory's own catalog does: without options.
        let edns = request.edns.as_ref().map(|requested| {
            let mut edns = Edns::new();
            edns.set_max_payload(requested.max_payload());
            edns
        });
        let answers: Vec<_> = request
            .queries
            .queries()
            .iter()
            .flat_map(|query| {
                let addresses = match query.query_type() {
                    RecordType::A => &self.a[..],
                    RecordType::AAAA => &self.aaaa[..],
                    _ => &[],
                };
                let name = query.original().name();
                addresses.iter().map(|address| Record::from_rdata(name.clone(), TTL, address.clone()))
            })
            .collect();
        let response =
            MessageResponseBuilder::new(&request.queries, edns.as_ref()).build(metadata, &answers, [], [], []);
        let unsent = Header { metadata, counts: HeaderCounts::default() };
        handle.send_response(response).await.unwrap_or_else(|_| unsent.into())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let port: u16 = arguments.next().unwrap().parse().unwrap();
    let (a, aaaa) = arguments.map(|address| address.parse::<IpAddr>().unwrap()).partition::<Vec<_>, _>(IpAddr::is_ipv4);
    let records = |addresses: Vec<IpAddr>| addresses.into_iter().map(RData::from).collect();
    let mut server = Server::new(FixedAddresses { a: records(a), aaaa: records(aaaa) });
    server.register_socket(UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).await.unwrap());
    server.block_until_done().await.unwrap();
}
