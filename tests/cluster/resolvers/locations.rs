//! Each reader is routed to the nearest edge, and resolvers cache an answer for the whole network for which it is valid.

use hickory_proto::rr::RecordType;
use verge_tests::internet::{InternetConfig, LocationSource, Resolver, SITE_DOMAIN};
use verge_tests::report_measurement;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_located_by_overrides_are_routed_to_nearest_edge() {
    Box::pin(check_routing(LocationSource::Overrides)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_located_by_database_are_routed_to_nearest_edge() {
    Box::pin(check_routing(LocationSource::Database)).await;
}

async fn check_routing(locations: LocationSource) {
    let mut config = InternetConfig { locations, ..InternetConfig::fast(1) };
    // No answer expires during the test.
    (config.answers.ttl, config.answers.suspect_ttl) = (60, 60);
    let Some(internet) = super::start("nearest edge", config).await else { return };
    for resolver in Resolver::ALL {
        // The first query makes a resolver look up the addresses of the name servers too.
        for record_type in [RecordType::A, RecordType::AAAA] {
            internet.query(0, resolver, &format!("{resolver:?}.fresh.verge.test"), record_type).await.unwrap();
        }
        let mut query_counts = Vec::new();
        // The subnet that a resolver sends is that of the client's address, over IPv4 and IPv6, whatever the record type.
        for over_v6 in [false, true] {
            for (family, record_type) in [RecordType::A, RecordType::AAAA].into_iter().enumerate() {
                for (client, region) in internet.clients() {
                    let before = internet.query_count(record_type).await;
                    let response =
                        internet.query_over(over_v6, client, resolver, SITE_DOMAIN, record_type).await.unwrap();
                    let nearest = resolver.apparent_region(region);
                    let context = format!("{resolver:?}, {region:?}, {record_type}, over IPv6: {over_v6}");
                    assert_eq!(response.addresses, [internet.edge_addresses(nearest)[family]], "{context}");
                    query_counts.push(internet.query_count(record_type).await - before);
                }
            }
        }
        // The fourth client is in the /24 of the first, and in another /48 of the same /40: the cached answer is valid for it.
        let expected = if resolver.sends_client_subnet() {
            [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0]]
        } else {
            [[1, 0, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
        };
        assert_eq!(query_counts, expected.as_flattened(), "{resolver:?}");
        report_measurement(format_args!(
            "{resolver:?}, locations from {locations:?}: {} answers named the nearest edge, with {} queries to the name servers",
            query_counts.len(),
            query_counts.iter().sum::<u64>()
        ));
    }
    internet.stop().await;
}
