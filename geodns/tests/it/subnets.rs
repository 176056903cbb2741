//! Client subnets (RFC 7871).

use std::net::Ipv4Addr;

use super::query::{CLIENT_SUBNET, query};
use super::world::{FRA, NYC, SIN, World, udp_from};

/// The client subnet option of the response to one of the query, both as bytes.
async fn echoed(world: &World, name: &str, sent: &[u8]) -> Vec<u8> {
    let answer = world.ask(&query(&format!("{name} A")).option(CLIENT_SUBNET, sent)).await;
    assert_ne!(answer.rcode(), "FORMERR", "{sent:02x?}");
    answer.option(CLIENT_SUBNET).unwrap()
}

/// §7.2.1: the same family, source and address; a scope.
#[tokio::test]
async fn subnet_is_echoed_with_a_scope() {
    let world = World::start().await;
    for (sent, scope) in [
        (&b"\0\x01\x18\0\xc0\0\x02"[..], 24),
        (b"\0\x01\x20\0\xc0\0\x02\x4d", 24),
        (b"\0\x01\x19\0\xc0\0\x02\x80", 24),
        // Shorter than the network of a location: the first address of the subnet is located, and the scope is that of its network.
        (b"\0\x01\x10\0\xc0\0", 24),
        (b"\0\x01\x01\0\x80", 24),
        (b"\0\x02\x30\0\x20\x01\x0d\xb8\0\x01", 48),
        (b"\0\x02\x38\0\x20\x01\x0d\xb8\0\x01\xff", 48),
        (b"\0\x02\x80\0\x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x01", 48),
    ] {
        let mut expected = sent.to_vec();
        expected[3] = scope;
        assert_eq!(echoed(&world, "demo.example.com", sent).await, expected);
    }
    world.stop().await;
}

#[tokio::test]
async fn subnet_is_not_sent_unless_the_query_has_one() {
    let world = World::start().await;
    for name in ["demo.example.com A", "www.example.com A", "nowhere.example.com A", "elsewhere.test A"] {
        for question in [query(name).edns(1232), query(name).option(10, b"12345678")] {
            assert_eq!(world.ask(&question).await.option(CLIENT_SUBNET), None, "{name}");
        }
    }
    world.stop().await;
}

/// An answer that is the same for every client has scope 0.
#[tokio::test]
async fn unused_subnet_has_scope_0() {
    let world = World::start().await;
    for name in
        ["www.example.com A", "demo.example.com MX", "nowhere.example.com A", "sub.example.com A", "elsewhere.test A"]
    {
        let answer = world.ask(&query(name).subnet("192.0.2.0/24")).await;
        assert_eq!(answer.option(CLIENT_SUBNET).unwrap(), b"\0\x01\x18\0\xc0\0\x02", "{name}");
    }
    world.stop().await;
}

/// §7.1.2: the client opts out. The resolver's own address is located, and the answer is for all its clients.
#[tokio::test]
async fn subnet_of_length_0_uses_the_address_of_the_resolver() {
    let world = World::start().await;
    for sent in [&b"\0\x01\0\0"[..], b"\0\x02\0\0"] {
        assert_eq!(echoed(&world, "demo.example.com", sent).await, sent);
        let answer = world.ask(&query("demo.example.com A").option(CLIENT_SUBNET, sent)).await;
        assert_eq!(answer.addresses(), world.ask(&query("demo.example.com A")).await.addresses());
    }
    world.stop().await;
}

#[tokio::test]
async fn answer_has_the_edges_nearest_to_the_subnet() {
    let world = World::start().await;
    for (network, expected) in
        [("192.0.2.0/24", [FRA, NYC]), ("198.51.100.0/24", [NYC, FRA]), ("203.0.113.0/24", [SIN, FRA])]
    {
        assert_eq!(world.edges_for("demo.example.com", network).await, expected);
        assert_eq!(world.edges_for("to-site.example.com", network).await, expected);
    }
    assert_eq!(world.edges_for("demo.example.com", "2001:db8:1::/48").await, ["fe80::1", "fe80::2"]);
    assert_eq!(world.edges_for("demo.example.com", "2001:db8:2::/56").await, ["fe80::2", "fe80::1"]);
    // The address family of the subnet may differ from that of the answer.
    let answer = world.ask(&query("demo.example.com AAAA").subnet("203.0.113.0/24")).await;
    assert_eq!((answer.addresses()[0].to_string().as_str(), answer.scope()), ("fe80::3", Some(24)));
    world.stop().await;
}

/// §7.1.2, §11.2.
#[tokio::test]
async fn malformed_subnet_is_a_format_error() {
    let world = World::start().await;
    for (fault, sent) in [
        ("an unknown family", &b"\0\x03\x18\0\xc0\0\x02"[..]),
        ("no family, yet an address", b"\0\0\x18\0\xc0\0\x02"),
        ("too few octets", b"\0\x01\x18\0\xc0\0"),
        ("too many octets", b"\0\x01\x18\0\xc0\0\x02\0"),
        ("a bit beyond the prefix", b"\0\x01\x17\0\xc0\0\x03"),
        ("bits beyond the prefix", b"\0\x02\x2f\0\x20\x01\x0d\xb8\0\x01"),
        ("a scope in a question", b"\0\x01\x18\x18\xc0\0\x02"),
        ("a prefix longer than an address", b"\0\x01\x21\0\xc0\0\x02\x01\0"),
        ("a prefix longer than an IPv6 address", b"\0\x02\x81\0\x20\x01\x0d\xb8\0\x01\0\0\0\0\0\0\0\0\0\x01\0"),
        ("half of it", b"\0\x01\x18"),
        ("nothing", b""),
    ] {
        for name in ["demo.example.com A", "www.example.com A"] {
            let answer = world.ask(&query(name).option(CLIENT_SUBNET, sent)).await;
            assert_eq!(answer.text(), "FORMERR", "{fault}");
        }
    }
    let two = query("demo.example.com A").subnet("192.0.2.0/24").subnet("198.51.100.0/24");
    assert_eq!(world.ask(&two).await.text(), "FORMERR", "two of them");
    world.stop().await;
}

/// §11.3: a private address has no location unless the operator sets one.
#[tokio::test]
async fn private_subnet_is_ignored_unless_an_override_locates_it() {
    let world =
        World::with(|config| config.locations.push(("10.9.0.0/16".parse().unwrap(), "1.3,103.8".parse().unwrap())))
            .await;
    for network in ["10.0.0.0/24", "192.168.1.0/24", "172.16.0.0/12", "127.1.0.0/16", "100.64.0.0/10", "169.254.0.0/16"]
    {
        let answer = world.ask(&query("demo.example.com A").subnet(network)).await;
        assert_eq!((answer.addresses()[0].to_string().as_str(), answer.scope()), (FRA, Some(0)), "{network}");
    }
    for network in ["fd00::/48", "fe80::/10", "::1/128"] {
        let answer = world.ask(&query("demo.example.com AAAA").subnet(network)).await;
        assert_eq!((answer.addresses()[0].to_string().as_str(), answer.scope()), ("fe80::1", Some(0)), "{network}");
    }
    let located = world.ask(&query("demo.example.com A").subnet("10.9.7.0/24")).await;
    assert_eq!((located.addresses()[0].to_string().as_str(), located.scope()), (SIN, Some(16)));
    world.stop().await;
}

#[tokio::test]
async fn query_without_a_subnet_uses_the_address_of_the_resolver() {
    let world = World::with(|config| {
        config.listen = vec!["0.0.0.0:0".parse().unwrap()];
        for (network, location) in [("127.0.9.0/24", "1.3,103.8"), ("127.0.8.0/24", "42,-71")] {
            config.locations.push((network.parse().unwrap(), location.parse().unwrap()));
        }
    })
    .await;
    for (third, expected) in [(0, FRA), (9, SIN), (8, NYC)] {
        let (resolver, name_server) = (Ipv4Addr::new(127, 0, third, 1), world.name_server.dns_addr());
        for question in [query("demo.example.com A"), query("demo.example.com A").subnet("10.0.0.0/24")] {
            let answer = udp_from(resolver.into(), ([127, 0, 0, 1], name_server.port()).into(), &question).await;
            assert_eq!(answer.addresses()[0].to_string(), expected);
        }
        let mut connection = super::tcp::Connection::from(resolver, ([127, 0, 0, 1], name_server.port()).into()).await;
        assert_eq!(connection.ask(&query("demo.example.com A")).await.addresses()[0].to_string(), expected);
    }
    world.stop().await;
}
