//! EDNS (RFC 6891, RFC 8906): what was not asked for is not sent.

use super::query::{NODE_ID, query};
use super::world::World;

const SIZE: u16 = 1232;

#[tokio::test]
async fn an_opt_record_answers_an_opt_record() {
    let world = World::start().await;
    for name in
        ["www.example.com A", "demo.example.com A", "nowhere.example.com A", "elsewhere.test A", "sub.example.com A"]
    {
        assert_eq!(world.ask(&query(name)).await.opt(), None, "{name}");
        assert_eq!(world.ask(&query(name).edns(1232)).await.opt(), Some((SIZE, 0, vec![])), "{name}");
        assert_eq!(world.ask(&query(name).dnssec_ok()).await.opt(), Some((SIZE, 0x8000, vec![])), "{name}");
    }
    world.stop().await;
}

#[tokio::test]
async fn options_that_are_not_known_are_passed_over_and_not_sent_back() {
    let world = World::start().await;
    for option in [65_001, 10, 11, 12, 0] {
        let answer = world.ask(&query("www.example.com A").option(option, b"anything")).await;
        assert_eq!(answer.told(), "NOERROR aa = www 3600 A 192.0.2.80");
        assert_eq!(answer.opt(), Some((SIZE, 0, vec![])), "{option}");
    }
    // Beside those that are.
    let question = query("demo.example.com A").option(65_001, b"x").subnet("192.0.2.0/24").option(NODE_ID, b"");
    let options = world.ask(&question.option(65_002, b"")).await.opt().unwrap().2;
    assert_eq!(options, [(8, b"\0\x01\x18\x18\xc0\0\x02".to_vec()), (NODE_ID, b"ns-1".to_vec())]);
    world.stop().await;
}

#[tokio::test]
async fn a_node_tells_its_name_to_who_asks() {
    let world = World::start().await;
    let answer = world.ask(&query("www.example.com A").option(NODE_ID, b"")).await;
    assert_eq!(answer.option(NODE_ID).as_deref(), Some(&b"ns-1"[..]));
    assert_eq!(world.ask(&query("www.example.com A").edns(1232)).await.option(NODE_ID), None);
    world.stop().await;
}

/// RFC 6891 §6.1.3: before anything else is made of it.
#[tokio::test]
async fn versions_to_come_are_told_ours() {
    let world = World::start().await;
    for version in [1, 2, 255] {
        let question = query("www.example.com A").version(version).option(8, b"is not looked at");
        let answer = world.ask(&question).await;
        assert_eq!(answer.told(), "BADVERS", "{version}");
        assert_eq!(answer.opt(), Some((SIZE, 0, vec![])));
        assert_eq!(answer.message.edns.as_ref().unwrap().version(), 0);
        assert_eq!(&answer.bytes[12..12 + question.question().len()], question.question());
    }
    world.stop().await;
}

#[tokio::test]
async fn faults_of_the_opt_record() {
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let world = World::start().await;
    let www = || query("www.example.com A");
    assert_eq!(world.ask(&www().additional(1, OPT)).await.rcode(), "NOERROR");
    for (fault, question) in [
        ("two of them", www().edns(1232).additional(1, OPT)),
        ("two of them, alone", www().additional(2, &OPT.repeat(2))),
        ("not at the root", www().additional(1, &[b"\x01a", OPT].concat())),
        ("an option that breaks off", www().options(b"\0\x0a\0\x08abc")),
        ("half an option", www().options(b"\0\x0a\0")),
        ("a length that is too long", www().additional(1, b"\0\0\x29\x04\xd0\0\0\0\0\0\x09")),
        ("a length that is too short", www().additional(1, b"\0\0\x29\x04\xd0\0\0\0\0\0\0\0\x0a")),
        ("none, though one is promised", www().additional(1, b"")),
        ("more than is promised", www().edns(1232).additional(0, b"left over")),
    ] {
        assert_eq!(world.ask(&question).await.told(), "FORMERR", "{fault}");
    }
    world.stop().await;
}

#[tokio::test]
async fn other_additional_records_are_passed_over() {
    const TXT: &[u8] = b"\x01a\0\0\x10\0\x01\0\0\0\0\0\x02\x01x";
    let world = World::start().await;
    let answer = world.ask(&query("www.example.com A").edns(1232).additional(1, TXT)).await;
    assert_eq!(answer.told(), "NOERROR aa = www 3600 A 192.0.2.80");
    world.stop().await;
}
