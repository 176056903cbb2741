//! The name server on the wire, between a small real origin, edges that do as they are told, and resolvers that count bytes.

#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod it {
    mod addresses;
    mod answer;
    mod check_config;
    mod delegations;
    mod edge;
    mod edns;
    mod explaining;
    mod flood;
    mod health;
    mod names;
    mod offline;
    mod origin;
    mod query;
    mod random;
    mod rate_limit;
    mod reload;
    mod sizes;
    mod subnets;
    mod swap;
    mod tcp;
    mod tls;
    mod unusual_queries;
    mod world;
}
