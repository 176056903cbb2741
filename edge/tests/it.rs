//! The edge over HTTP, between a fake origin and readers.

#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod it {
    mod access_log;
    mod change_feed;
    mod cold_cache;
    mod crashes;
    mod cross_origin;
    mod domains;
    mod encoded_builds;
    mod erasures;
    mod fleet_certificates;
    mod former_workers;
    mod full_disk;
    mod http2_rules;
    mod http2_socket;
    mod http_rules;
    mod listeners;
    mod markdown_twins;
    mod offline;
    mod process;
    mod purges;
    mod release_hosts;
    mod representations;
    mod response_heads;
    mod rollouts;
    mod secured;
    mod strangers;
    mod tls;
    mod world;
}
