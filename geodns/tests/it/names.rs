//! Answers by the kind of name: records, NODATA, NXDOMAIN; wildcards, aliases, and names of sites.

use super::query::query;
use super::world::{World, publish};

async fn assert_answers(questions: &[(&str, &str)]) {
    let world = World::start().await;
    for (question, expected) in questions {
        assert_eq!(world.answer_text(question).await, *expected, "{question}");
    }
    world.stop().await;
}

#[tokio::test]
async fn records_of_the_zone_file_are_served() {
    assert_answers(&[
        ("www.example.com A", "NOERROR aa = www 3600 A 192.0.2.80"),
        ("mail.example.com AAAA", "NOERROR aa = mail 3600 AAAA 2001:db8::25"),
        ("example.com MX", "NOERROR aa = @ 3600 MX 10 mail"),
        ("example.com SOA", "NOERROR aa = @ 3600 SOA"),
        ("example.com NS", "NOERROR aa = @ 3600 NS ns-1 = @ 3600 NS ns.example.net."),
        ("example.net NS", "NOERROR aa = example.net. 3600 NS ns.example.net."),
    ])
    .await;
}

/// RFC 2308, RFC 8020: a name exists if one below it does.
#[tokio::test]
async fn existing_name_without_the_type_gets_nodata() {
    assert_answers(&[
        ("www.example.com AAAA", "NOERROR aa ^ @ 300 SOA"),
        ("www.example.com TXT", "NOERROR aa ^ @ 300 SOA"),
        ("demo.example.com MX", "NOERROR aa ^ @ 300 SOA"),
        ("nowhere.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.b.c.nowhere.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.www.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.demo.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        // Empty non-terminals: of the zone file, of a site's domain, of a wildcard.
        ("deep.ent.example.com TXT", "NOERROR aa = deep.ent 3600 TXT deep"),
        ("ent.example.com TXT", "NOERROR aa ^ @ 300 SOA"),
        ("ent.example.com A", "NOERROR aa ^ @ 300 SOA"),
        ("a.ent.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("empty.example.com A", "NOERROR aa ^ @ 300 SOA"),
        ("a.empty.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("wild.example.com A", "NOERROR aa ^ @ 300 SOA"),
    ])
    .await;
}

/// RFC 2308 §5.
#[tokio::test]
async fn negative_answer_has_the_lower_of_soa_ttl_and_minimum() {
    assert_answers(&[
        ("nowhere.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("example.com SOA", "NOERROR aa = @ 3600 SOA"),
        ("nowhere.example.net A", "NXDOMAIN aa ^ example.net. 60 SOA"),
        ("ns.example.net MX", "NOERROR aa ^ example.net. 60 SOA"),
        ("example.net SOA", "NOERROR aa = example.net. 60 SOA"),
    ])
    .await;
}

/// RFC 4592: the wildcard below the closest encloser applies; names that exist block it.
#[tokio::test]
async fn wildcard_answers_for_names_that_do_not_exist() {
    assert_answers(&[
        ("a.wild.example.com A", "NOERROR aa = a.wild 3600 A 192.0.2.77"),
        ("a.b.c.wild.example.com TXT", "NOERROR aa = a.b.c.wild 3600 TXT wild"),
        ("a.wild.example.com MX", "NOERROR aa ^ @ 300 SOA"),
        ("*.wild.example.com A", "NOERROR aa = *.wild 3600 A 192.0.2.77"),
        ("a.*.wild.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("stays.wild.example.com TXT", "NOERROR aa = stays.wild 3600 TXT stays"),
        ("stays.wild.example.com A", "NOERROR aa ^ @ 300 SOA"),
        ("a.stays.wild.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.alias.example.com A", "NOERROR aa = a.alias 3600 CNAME www = www 3600 A 192.0.2.80"),
        ("a.alias.example.com CNAME", "NOERROR aa = a.alias 3600 CNAME www"),
    ])
    .await;
}

#[tokio::test]
async fn names_of_sites_resolve_to_edges() {
    let to_demo = |name: &str| format!("NOERROR aa = {name} 60 A 127.0.1.1 = {name} 60 A 127.0.1.2");
    let world = World::start().await;
    publish(&world.origin, "demo/pr-12");
    publish(&world.origin, "www/live");
    world.synced().await;
    for name in ["demo", "pr-12--demo", "shop.empty"] {
        assert_eq!(world.answer_text(&format!("{name}.example.com A")).await, to_demo(name));
    }
    let six = "NOERROR aa = demo 60 AAAA fe80::1 = demo 60 AAAA fe80::2";
    assert_eq!(world.answer_text("demo.example.com AAAA").await, six);
    // At the apex too, beside the operator's records.
    assert_eq!(world.answer_text("example.com A").await, to_demo("@"));
    assert_eq!(world.answer_text("example.com AAAA").await, six.replace("demo", "@"));
    assert_eq!(world.answer_text("example.com TXT").await, "NOERROR aa = @ 3600 TXT v=spf1 -all");
    // Addresses in the zone file take precedence.
    assert_eq!(world.answer_text("www.example.com A").await, "NOERROR aa = www 3600 A 192.0.2.80");
    assert_eq!(world.answer_text("pr-13--demo.example.com A").await, "NXDOMAIN aa ^ @ 300 SOA");
    world.origin.write("channel/demo/pr-12", |_| None);
    world.synced().await;
    assert_eq!(world.answer_text("pr-12--demo.example.com A").await, "NXDOMAIN aa ^ @ 300 SOA");
    world.stop().await;
}

/// By their shape: name servers do not know which releases exist.
#[tokio::test]
async fn hosts_of_releases_resolve_to_edges_while_their_site_has_a_channel() {
    let to_demo = |name: &str| format!("NOERROR aa = {name} 60 A 127.0.1.1 = {name} 60 A 127.0.1.2");
    let world = World::start().await;
    publish(&world.origin, "preview-only/pr-1");
    world.synced().await;
    for name in ["0123456789abcdef--demo", "fedcba9876543210--demo", "0123456789abcdef--preview-only"] {
        assert_eq!(world.answer_text(&format!("{name}.example.com A")).await, to_demo(name));
        assert_eq!(world.answer_text(&format!("{name}.example.com MX")).await, "NOERROR aa ^ @ 300 SOA");
        assert_eq!(world.answer_text(&format!("x.{name}.example.com A")).await, "NXDOMAIN aa ^ @ 300 SOA");
    }
    world.origin.write("channel/preview-only/pr-1", |_| None);
    world.synced().await;
    for name in [
        "0123456789abcdef--preview-only",
        "0123456789abcdef--other",
        "0123456789abcde--demo",
        "0123456789abcdef--www.empty",
    ] {
        assert_eq!(world.answer_text(&format!("{name}.example.com A")).await, "NXDOMAIN aa ^ @ 300 SOA", "{name}");
    }
    world.stop().await;
}

#[tokio::test]
async fn cname_is_followed_within_the_zones_served_here() {
    let edges = "= demo 60 A 127.0.1.1 = demo 60 A 127.0.1.2";
    assert_answers(&[
        ("to-www.example.com A", "NOERROR aa = to-www 3600 CNAME www = www 3600 A 192.0.2.80"),
        ("to-www.example.com CNAME", "NOERROR aa = to-www 3600 CNAME www"),
        ("to-www.example.com MX", "NOERROR aa = to-www 3600 CNAME www ^ @ 300 SOA"),
        ("to-site.example.com A", &format!("NOERROR aa = to-site 3600 CNAME demo {edges}")),
        (
            "chain-1.example.com A",
            &format!(
                "NOERROR aa = chain-1 3600 CNAME chain-2 = chain-2 3600 CNAME chain-3 = chain-3 3600 CNAME demo {edges}"
            ),
        ),
        // Into another zone that is served here, and back.
        (
            "to-net.example.com A",
            &format!(
                "NOERROR aa = to-net 3600 CNAME from-com.example.net. = from-com.example.net. 3600 CNAME demo {edges}"
            ),
        ),
        // Out of the zones served here: the resolver continues.
        ("outward.example.com A", "NOERROR aa = outward 3600 CNAME www.elsewhere.test."),
        // The response code is that of the last name (RFC 6604 §3).
        ("to-nowhere.example.com A", "NXDOMAIN aa = to-nowhere 3600 CNAME nowhere.example.net. ^ example.net. 60 SOA"),
    ])
    .await;
}

#[tokio::test]
async fn cname_loop_is_answered_with_each_record_once() {
    let world = World::start().await;
    let answer = world.ask(&query("loop.example.com A")).await;
    assert_eq!(answer.rcode(), "NOERROR");
    assert!(
        answer.text().starts_with("NOERROR aa = loop 3600 CNAME loop.example.net. = loop.example.net. 3600 CNAME loop")
    );
    // Each record once (RFC 2181 §5).
    let mut records: Vec<String> = answer.message.answers.iter().map(ToString::to_string).collect();
    let count = records.len();
    records.sort();
    records.dedup();
    assert_eq!(records.len(), count, "{}", answer.text());
    world.stop().await;
}

/// RFC 4343. Resolvers use the case of a name as a nonce ("0x20").
#[tokio::test]
async fn name_in_another_case_is_equal_and_echoed() {
    let world = World::start().await;
    for (sent, same) in [
        ("wWw.ExAmPlE.cOm A", "www.example.com A"),
        ("DEMO.example.COM A", "demo.example.com A"),
        ("A.Wild.Example.com TXT", "a.wild.example.com TXT"),
        ("NOWHERE.EXAMPLE.COM A", "nowhere.example.com A"),
        ("SUB.Example.Com A", "sub.example.com A"),
        ("Chain-1.Example.Com A", "chain-1.example.com A"),
    ] {
        let question = query(sent);
        let answer = world.ask(&question).await;
        let echoed = &answer.bytes[12..12 + question.question().len()];
        assert_eq!(echoed, question.question(), "{sent}");
        let other = world.ask(&query(same)).await;
        assert_eq!(answer.text(), other.text(), "{sent}");
    }
    world.stop().await;
}
