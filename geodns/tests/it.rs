//! Tests of the name server over the network, with a fake origin, fake edges and a DNS client.

#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod it {
    mod addresses;
    mod answer;
    mod check_config;
    mod delegations;
    mod edns;
    mod explanations;
    mod fake_edge;
    mod flood;
    mod health;
    mod names;
    mod offline;
    mod query;
    mod random;
    mod rate_limit;
    mod reload;
    mod sizes;
    mod snapshot_swap;
    mod subnets;
    mod tcp;
    mod tls;
    mod unusual_queries;
    mod world;
    mod zone_copies;
}
