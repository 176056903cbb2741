//! EDNS (RFC 6891, RFC 8906).

use super::query::{NSID, query};
use super::world::World;

const SIZE: u16 = 1232;

#[tokio::test]
async fn response_has_an_opt_record_only_if_the_query_has_one() {
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
async fn unknown_options_are_ignored_and_not_returned() {
    let world = World::start().await;
    for option in [65_001, 10, 11, 12, 0] {
        let answer = world.ask(&query("www.example.com A").option(option, b"anything")).await;
        assert_eq!(answer.text(), "NOERROR aa = www 3600 A 192.0.2.80");
        assert_eq!(answer.opt(), Some((SIZE, 0, vec![])), "{option}");
    }
    // Together with known options.
    let question = query("demo.example.com A").option(65_001, b"x").subnet("192.0.2.0/24").option(NSID, b"");
    let options = world.ask(&question.option(65_002, b"")).await.opt().unwrap().2;
    assert_eq!(options, [(8, b"\0\x01\x18\x18\xc0\0\x02".to_vec()), (NSID, b"ns-1".to_vec())]);
    world.stop().await;
}

#[tokio::test]
async fn nsid_is_returned_only_on_request() {
    let world = World::start().await;
    let answer = world.ask(&query("www.example.com A").option(NSID, b"")).await;
    assert_eq!(answer.option(NSID).as_deref(), Some(&b"ns-1"[..]));
    assert_eq!(world.ask(&query("www.example.com A").edns(1232)).await.option(NSID), None);
    world.stop().await;
}

/// RFC 6891 §6.1.3: the version is checked before the options.
#[tokio::test]
async fn query_with_unknown_edns_version_gets_badvers() {
    let world = World::start().await;
    for version in [1, 2, 255] {
        let question = query("www.example.com A").version(version).option(8, b"is not looked at");
        let answer = world.ask(&question).await;
        assert_eq!(answer.text(), "BADVERS", "{version}");
        assert_eq!(answer.opt(), Some((SIZE, 0, vec![])));
        assert_eq!(answer.message.edns.as_ref().unwrap().version(), 0);
        assert_eq!(&answer.bytes[12..12 + question.question().len()], question.question());
    }
    world.stop().await;
}

#[tokio::test]
async fn malformed_opt_record_gets_formerr() {
    const OPT: &[u8] = b"\0\0\x29\x04\xd0\0\0\0\0\0\0";
    let world = World::start().await;
    let www = || query("www.example.com A");
    assert_eq!(world.ask(&www().additional(1, OPT)).await.rcode(), "NOERROR");
    for (problem, question) in [
        ("two OPT records", www().edns(1232).additional(1, OPT)),
        ("two OPT records without options", www().additional(2, &OPT.repeat(2))),
        ("not at the root", www().additional(1, &[b"\x01a", OPT].concat())),
        ("an incomplete option value", www().options(b"\0\x0a\0\x08abc")),
        ("an incomplete option header", www().options(b"\0\x0a\0")),
        ("a length that is too long", www().additional(1, b"\0\0\x29\x04\xd0\0\0\0\0\0\x09")),
        ("a length that is too short", www().additional(1, b"\0\0\x29\x04\xd0\0\0\0\0\0\0\0\x0a")),
        ("a missing record", www().additional(1, b"")),
        ("bytes after the last record", www().edns(1232).additional(0, b"left over")),
    ] {
        assert_eq!(world.ask(&question).await.text(), "FORMERR", "{problem}");
    }
    world.stop().await;
}

#[tokio::test]
async fn other_additional_records_are_ignored() {
    const TXT: &[u8] = b"\x01a\0\0\x10\0\x01\0\0\0\0\0\x02\x01x";
    let world = World::start().await;
    let answer = world.ask(&query("www.example.com A").edns(1232).additional(1, TXT)).await;
    assert_eq!(answer.text(), "NOERROR aa = www 3600 A 192.0.2.80");
    world.stop().await;
}
