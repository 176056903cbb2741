//! What is at a name: records, nothing of that type, nothing at all; wildcards, aliases, and the fleet.

use super::query::query;
use super::world::World;

async fn are_told(questions: &[(&str, &str)]) {
    let world = World::start().await;
    for (question, expected) in questions {
        assert_eq!(world.answer_text(question).await, *expected, "{question}");
    }
    world.stop().await;
}

#[tokio::test]
async fn records_of_the_zone_file() {
    are_told(&[
        ("www.example.com A", "NOERROR aa = www 3600 A 192.0.2.80"),
        ("mail.example.com AAAA", "NOERROR aa = mail 3600 AAAA 2001:db8::25"),
        ("example.com MX", "NOERROR aa = @ 3600 MX 10 mail"),
        ("example.com SOA", "NOERROR aa = @ 3600 SOA"),
        ("example.com NS", "NOERROR aa = @ 3600 NS ns-1 = @ 3600 NS ns.example.net."),
        ("example.net NS", "NOERROR aa = example.net. 3600 NS ns.example.net."),
    ])
    .await;
}

/// RFC 2308, RFC 8020: a name with something below it exists, whoever put it there.
#[tokio::test]
async fn nothing_of_a_type_is_not_nothing_at_all() {
    are_told(&[
        ("www.example.com AAAA", "NOERROR aa ^ @ 300 SOA"),
        ("www.example.com TXT", "NOERROR aa ^ @ 300 SOA"),
        ("demo.example.com MX", "NOERROR aa ^ @ 300 SOA"),
        ("nowhere.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.b.c.nowhere.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.www.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("a.demo.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        // Empty names between: of the zone file, of a domain that the fleet answers for, of a wildcard.
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

/// RFC 2308 §5: whichever is lower of the SOA's own TTL and its MINIMUM.
#[tokio::test]
async fn nothing_is_believed_for_as_long_as_the_soa_says() {
    are_told(&[
        ("nowhere.example.com A", "NXDOMAIN aa ^ @ 300 SOA"),
        ("example.com SOA", "NOERROR aa = @ 3600 SOA"),
        ("nowhere.example.net A", "NXDOMAIN aa ^ example.net. 60 SOA"),
        ("ns.example.net MX", "NOERROR aa ^ example.net. 60 SOA"),
        ("example.net SOA", "NOERROR aa = example.net. 60 SOA"),
    ])
    .await;
}

/// RFC 4592: the wildcard of the closest encloser, which any name that exists blocks.
#[tokio::test]
async fn wildcards() {
    are_told(&[
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
async fn sites_and_domains_lead_to_the_fleet() {
    let to_demo = |name: &str| format!("NOERROR aa = {name} 60 A 127.0.1.1 = {name} 60 A 127.0.1.2");
    let world = World::start().await;
    world.origin.publish("demo/pr-12");
    world.origin.publish("www/live");
    world.synced().await;
    for name in ["demo", "pr-12--demo", "shop.empty"] {
        assert_eq!(world.answer_text(&format!("{name}.example.com A")).await, to_demo(name));
    }
    let six = "NOERROR aa = demo 60 AAAA fe80::1 = demo 60 AAAA fe80::2";
    assert_eq!(world.answer_text("demo.example.com AAAA").await, six);
    // At the apex too, beside what is the operator's.
    assert_eq!(world.answer_text("example.com A").await, to_demo("@"));
    assert_eq!(world.answer_text("example.com AAAA").await, six.replace("demo", "@"));
    assert_eq!(world.answer_text("example.com TXT").await, "NOERROR aa = @ 3600 TXT v=spf1 -all");
    // What the operator wrote stays the operator's.
    assert_eq!(world.answer_text("www.example.com A").await, "NOERROR aa = www 3600 A 192.0.2.80");
    assert_eq!(world.answer_text("pr-13--demo.example.com A").await, "NXDOMAIN aa ^ @ 300 SOA");
    world.origin.write("channel/demo/pr-12", None);
    world.synced().await;
    assert_eq!(world.answer_text("pr-12--demo.example.com A").await, "NXDOMAIN aa ^ @ 300 SOA");
    world.stop().await;
}

#[tokio::test]
async fn aliases_are_followed() {
    let edges = "= demo 60 A 127.0.1.1 = demo 60 A 127.0.1.2";
    are_told(&[
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
        // Out of them: the resolver goes on by itself.
        ("outward.example.com A", "NOERROR aa = outward 3600 CNAME www.elsewhere.test."),
        // The code is that of the last name (RFC 6604 §3).
        ("to-nowhere.example.com A", "NXDOMAIN aa = to-nowhere 3600 CNAME nowhere.example.net. ^ example.net. 60 SOA"),
    ])
    .await;
}

#[tokio::test]
async fn a_loop_of_aliases_ends() {
    let world = World::start().await;
    let answer = world.ask(&query("loop.example.com A")).await;
    assert_eq!(answer.rcode(), "NOERROR");
    assert!(
        answer.told().starts_with("NOERROR aa = loop 3600 CNAME loop.example.net. = loop.example.net. 3600 CNAME loop")
    );
    // Each record once (RFC 2181 §5).
    let mut records: Vec<String> = answer.message.answers.iter().map(ToString::to_string).collect();
    let count = records.len();
    records.sort();
    records.dedup();
    assert_eq!(records.len(), count, "{}", answer.told());
    world.stop().await;
}

/// RFC 4343: letters in another case are the same name; RFC draft "0x20": and come back as they were sent.
#[tokio::test]
async fn case_is_echoed_and_means_nothing() {
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
        assert_eq!(answer.told(), other.told(), "{sent}");
    }
    world.stop().await;
}
