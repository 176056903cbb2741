//! Unusual queries, and packets that are no queries.

use tokio::net::UdpSocket;

use super::answer::Answer;
use super::query::{Query, query};
use super::world::{World, exchange};

/// RFC 8482 §4.2: an HINFO record in place of all records.
#[tokio::test]
async fn any_query_gets_one_record() {
    let world = World::start().await;
    for name in ["www.example.com", "demo.example.com", "example.com", "a.wild.example.com", "huge.example.com"] {
        let answer = world.ask(&query(&format!("{name} ANY"))).await;
        assert!(answer.text().starts_with("NOERROR aa = "), "{}", answer.text());
        assert!(answer.text().contains("3600 HINFO RFC8482"), "{}", answer.text());
        assert_eq!(answer.message.answers.len(), 1);
    }
    assert_eq!(world.answer_text("to-www.example.com ANY").await, "NOERROR aa = to-www 3600 CNAME www");
    assert_eq!(world.answer_text("ent.example.com ANY").await, "NOERROR aa ^ @ 300 SOA");
    assert_eq!(world.answer_text("nowhere.example.com ANY").await, "NXDOMAIN aa ^ @ 300 SOA");
    world.stop().await;
}

/// Without a referral: no records, AA and RA clear.
#[tokio::test]
async fn query_outside_the_zones_is_refused() {
    let world = World::start().await;
    for question in [
        "example.com AXFR",
        "example.com IXFR",
        "www.example.com AXFR",
        "www.elsewhere.test A",
        "com NS",
        "com A",
        ". NS",
        ". A",
        "notexample.com A",
        "example.com.elsewhere.test A",
    ] {
        assert_eq!(world.answer_text(question).await, "REFUSED", "{question}");
    }
    for class in [3, 4, 254, 255, 0] {
        assert_eq!(world.ask(&query("www.example.com TXT").class(class)).await.text(), "REFUSED", "{class}");
    }
    assert_eq!(world.ask(&query("version.bind TXT").class(3)).await.text(), "REFUSED");
    world.stop().await;
}

/// RFC 9619.
#[tokio::test]
async fn query_without_exactly_one_question_gets_formerr() {
    let world = World::start().await;
    for count in [0, 2, 3, 65_535] {
        let answer = world.ask(&query("www.example.com A").questions(count)).await;
        assert_eq!(answer.text(), "FORMERR", "{count}");
        assert!(answer.message.queries.is_empty());
    }
    world.stop().await;
}

/// RFC 3597.
#[tokio::test]
async fn unknown_record_types_are_served() {
    let world = World::start().await;
    for question in ["www.example.com TYPE65281", "demo.example.com TYPE1000", "example.com TYPE65535"] {
        assert_eq!(world.answer_text(question).await, "NOERROR aa ^ @ 300 SOA", "{question}");
    }
    let answer = world.ask(&query("odd.example.com TYPE65280")).await;
    assert_eq!((answer.rcode(), answer.message.answers.len()), ("NOERROR", 1));
    assert!(answer.bytes.ends_with(b"\0\x04\x01\x02\x03\x04"));
    world.stop().await;
}

#[tokio::test]
async fn other_opcodes_get_notimp() {
    let world = World::start().await;
    for opcode in 1..16_u16 {
        let answer = world.ask(&query("example.com SOA").flags(opcode << 11)).await;
        assert_eq!(answer.text(), "NOTIMP", "{opcode}");
        assert_eq!(u16::from(answer.bytes[2] >> 3 & 0xf), opcode, "the opcode is echoed");
    }
    world.stop().await;
}

/// RD is echoed and otherwise ignored; AD, CD and Z are clear in responses.
#[tokio::test]
async fn query_flags_other_than_rd_are_not_echoed() {
    let world = World::start().await;
    let plain = world.ask(&query("www.example.com A")).await;
    for flags in [0x0100, 0x0400, 0x0200, 0x0080, 0x0040, 0x0020, 0x0010, 0x000f, 0x07ff] {
        let answer = world.ask(&query("www.example.com A").flags(flags)).await;
        let sent = u16::from_be_bytes([answer.bytes[2], answer.bytes[3]]);
        assert_eq!(sent, 0x8400 | flags & 0x0100, "{flags:04x}");
        assert_eq!(answer.bytes[4..], plain.bytes[4..]);
    }
    world.stop().await;
}

#[tokio::test]
async fn malformed_names_get_formerr() {
    let world = World::start().await;
    let long: Vec<u8> = [&[63][..], &[b'a'; 63]].concat().repeat(4).into_iter().chain([0]).collect();
    for name in [&b"\xc0\x0c"[..], b"\x03www\xc0\x0c", b"\x40a\0", b"\x80a\0", &long, b"\x3fshort"] {
        assert_eq!(world.ask(&Query::of_bytes(name)).await.text(), "FORMERR", "{name:02x?}");
    }
    // A label may have any byte, and the longest name is looked up.
    let long: Vec<u8> = [&b"\x01\0\x01.\x02 @"[..], &b"\x01a".repeat(117), b"\x07example\x03com\0"].concat();
    assert_eq!(long.len(), 254);
    assert_eq!(world.ask(&Query::of_bytes(&long)).await.text(), "NXDOMAIN aa ^ @ 300 SOA");
    world.stop().await;
}

/// Otherwise two servers could be made to answer each other forever.
#[tokio::test]
async fn response_packets_are_ignored() {
    let world = World::start().await;
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    socket.connect(world.name_server.dns_addr()).await.unwrap();
    let answer: Answer = exchange(&socket, &query("www.example.com A").id(1).bytes()).await;
    for packet in [
        answer.bytes.clone(),
        query("www.example.com A").flags(0x8000).bytes(),
        query("www.example.com A").flags(0xf800).bytes(),
        query("www.example.com A").flags(0x8001).questions(0).bytes(),
        b"".to_vec(),
        b"\0".to_vec(),
        query("www.example.com A").bytes()[..11].to_vec(),
    ] {
        // Packets of one socket are answered in order: a response to this one would come before the next.
        socket.send(&packet).await.unwrap();
        assert_eq!(exchange(&socket, &query("www.example.com A").id(77).bytes()).await.id(), 77, "{packet:02x?}");
    }
    assert!(world.metric("verge_dns_ignored_total").await >= Some(6.0));
    world.stop().await;
}
