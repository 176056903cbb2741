//! Referrals at and below zone cuts (RFC 1034 §4.3.2, RFC 9471).

use super::query::query;
use super::world::World;

#[tokio::test]
async fn referral_includes_required_glue() {
    let world = World::start().await;
    let referral = "NOERROR ^ sub 3600 NS ns.sub ^ sub 3600 NS ns.elsewhere.test. + ns.sub 3600 A 192.0.2.54 \
                    + ns.sub 3600 AAAA 2001:db8::54";
    for question in ["sub A", "sub NS", "sub SOA", "www.sub A", "a.b.sub MX", "ns.sub A", "sub ANY"] {
        let (name, record_type) = question.split_once(' ').unwrap();
        assert_eq!(world.answer_text(&format!("{name}.example.com {record_type}")).await, referral, "{question}");
    }
    // Addresses of a server that is in the zone, but not below the cut, are added too.
    let outer = "NOERROR ^ outer 3600 NS ns-1 ^ outer 3600 NS ns.elsewhere.test. + ns-1 3600 A 192.0.2.53";
    assert_eq!(world.answer_text("outer.example.com A").await, outer);
    world.stop().await;
}

/// RFC 4035 §3.1.4.1.
#[tokio::test]
async fn ds_query_is_answered_by_the_parent_zone() {
    let world = World::start().await;
    let ds = world.answer_text("sub.example.com DS").await;
    assert!(ds.starts_with("NOERROR aa = sub 3600 DS "), "{ds}");
    assert_eq!(world.answer_text("outer.example.com DS").await, "NOERROR aa ^ @ 300 SOA");
    assert!(world.answer_text("www.sub.example.com DS").await.starts_with("NOERROR ^ sub 3600 NS"));
    assert_eq!(world.answer_text("example.com DS").await, "NOERROR aa ^ @ 300 SOA");
    world.stop().await;
}

/// RFC 9471 §3.1: all glue below the cut, or TC.
#[tokio::test]
async fn referral_without_room_for_its_glue_is_truncated() {
    let world = World::start().await;
    for (cut, servers, size, whole) in [
        ("wide", 5, None, true),
        ("wider", 12, None, false),
        ("wider", 12, Some(512), false),
        ("wider", 12, Some(1232), true),
        ("widest", 20, Some(1232), false),
        ("widest", 20, Some(65_535), false),
    ] {
        let question = query(&format!("www.{cut}.example.com A"));
        let question = size.map_or(question.clone(), |size| question.edns(size));
        let (udp, tcp) = (world.udp(&question).await, world.tcp(&question).await);
        let counts = (tcp.message.authorities.len(), tcp.message.additionals.len());
        assert_eq!((tcp.is_truncated(), counts), (false, (servers, 2 * servers)));
        if whole {
            assert_eq!(udp.bytes, tcp.bytes, "{cut} in {size:?}");
        } else {
            assert_eq!(udp.text(), "NOERROR tc", "{cut} in {size:?}");
        }
    }
    world.stop().await;
}
