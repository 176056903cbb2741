//! Answers packets: a pure function of the packet, its source address, and one snapshot.

mod client;
mod cname_chain;
mod resolve;

use std::net::IpAddr;

use self::resolve::Resolved;
use crate::dns::message::Rcode;
use crate::dns::query::{self, NameBuffer, Packet, Query, Rejected};
use crate::dns::record::RecordType;
use crate::dns::response::{Full, Opt, ResponseWriter, UDP_SIZE};
use crate::dns::transport::Transport;
use crate::fleet::Selection;
use crate::snapshot::Snapshot;

pub(crate) use self::cname_chain::{ChainStep, CnameChain, NodeData, ZoneAnswer};

/// What metrics, rate limiting and the query log need to know about an answer.
#[derive(Debug)]
pub(crate) struct AnswerSummary<'a> {
    /// The length of the response, in bytes.
    pub(crate) length: usize,
    pub(crate) rcode: Rcode,
    /// QNAME, in canonical wire form, and QTYPE; `None` if the query was rejected.
    pub(crate) question: Option<(&'a [u8], RecordType)>,
    /// Whether the query has a client subnet.
    pub(crate) with_subnet: bool,
    /// The index of the zone of QNAME among the configured zones.
    pub(crate) zone: Option<usize>,
    /// The edges in the answer.
    pub(crate) selection: Option<Selection>,
    /// Equal for similar answers: QNAME, or the wildcard or zone that stands for random names.
    pub(crate) rate_limit_key: &'a [u8],
}

/// The longest UDP response to a client without EDNS (RFC 1035 §2.3.4).
const UDP_SIZE_WITHOUT_EDNS: u16 = 512;

/// Answers `packet` from `peer` into `buffer`, which must hold the longest response of the transport. `None`: there must be no
/// response.
pub(crate) fn answer<'a>(
    packet: &'a [u8],
    peer: IpAddr,
    transport: Transport,
    snapshot: &'a Snapshot,
    name: &'a mut NameBuffer,
    buffer: &mut [u8],
) -> Option<AnswerSummary<'a>> {
    match query::read(packet, name) {
        Packet::Ignore => None,
        Packet::Rejected(rejected) => Some(reject(&rejected, buffer)),
        Packet::Query(query) => Some(answer_query(&query, peer, transport, snapshot, buffer)),
    }
}

fn reject<'a>(rejected: &Rejected<'_>, buffer: &mut [u8]) -> AnswerSummary<'a> {
    let opt = rejected.edns.then_some(Opt::EMPTY);
    let question = rejected.question.map(|question| (question, &b"\0"[..]));
    let response = ResponseWriter::new(buffer, UDP_SIZE_WITHOUT_EDNS.into(), rejected.header, question, opt.as_ref());
    let length = response.finish(rejected.rcode, opt.as_ref());
    let rcode = rejected.rcode;
    AnswerSummary {
        length,
        rcode,
        question: None,
        with_subnet: false,
        zone: None,
        selection: None,
        rate_limit_key: b"",
    }
}

fn answer_query<'a>(
    query: &Query<'a>,
    peer: IpAddr,
    transport: Transport,
    snapshot: &'a Snapshot,
    buffer: &mut [u8],
) -> AnswerSummary<'a> {
    let limit = match (transport, &query.edns) {
        (Transport::Tcp, _) => buffer.len(),
        (Transport::Udp, Some(edns)) => edns.udp_size.min(UDP_SIZE).into(),
        (Transport::Udp, None) => UDP_SIZE_WITHOUT_EDNS.into(),
    };
    let mut opt = query.edns.as_ref().map(|edns| Opt::answering(edns, snapshot.name_server.as_bytes()));
    let question = Some((query.question, query.name));
    let mut response = ResponseWriter::new(buffer, limit, query.header, question, opt.as_ref());
    let mut resolved = Resolved::empty();
    if resolve::resolve(query, peer, snapshot, &mut response, &mut resolved) == Err(Full) {
        response.truncate(query.question.len());
    }
    if let Some(opt) = &mut opt {
        opt.set_scope(resolved.scope);
    }
    let length = response.finish(resolved.rcode, opt.as_ref());
    AnswerSummary {
        length,
        rcode: resolved.rcode,
        question: Some((query.name, query.record_type)),
        with_subnet: query.edns.is_some_and(|edns| edns.subnet.is_some()),
        zone: resolved.zone,
        selection: resolved.selection,
        rate_limit_key: resolved.rate_limit_key.unwrap_or(query.name),
    }
}

/// Answers `packet` with a truncated response without records, so that a client that is rate limited can retry over TCP. `None` if
/// it is no well-formed query.
pub(crate) fn slip(packet: &[u8], name: &mut NameBuffer, buffer: &mut [u8]) -> Option<usize> {
    let Packet::Query(query) = query::read(packet, name) else { return None };
    // Without NSID, so that it is no longer than the query.
    let opt = query.edns.as_ref().map(|edns| Opt::answering(edns, b""));
    let question = Some((query.question, query.name));
    let mut response = ResponseWriter::new(buffer, UDP_SIZE_WITHOUT_EDNS.into(), query.header, question, opt.as_ref());
    response.truncate(query.question.len());
    Some(response.finish(Rcode::NOERROR, opt.as_ref()))
}

#[cfg(test)]
mod tests {
    use std::sync::LazyLock;

    use hickory_proto::op::{Message, MessageType};
    use hickory_proto::rr::rdata::opt::{EdnsCode, EdnsOption};
    use proptest::prelude::*;

    use super::*;
    use crate::test_support::snapshot;

    static SNAPSHOT: LazyLock<Snapshot> = LazyLock::new(snapshot);

    /// A query as resolvers send it.
    #[derive(Debug, Clone)]
    struct ResolverQuery {
        name: String,
        record_type: u16,
        /// The UDP size and the options, if it has an OPT record.
        edns: Option<(u16, Vec<u8>)>,
    }

    impl ResolverQuery {
        fn packet(&self) -> Vec<u8> {
            let additional = u8::from(self.edns.is_some());
            let mut packet = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, additional];
            packet.extend(crate::dns::name::Name::parse(&self.name).unwrap().wire());
            packet.extend(self.record_type.to_be_bytes());
            packet.extend([0, 1]);
            if let Some((size, options)) = &self.edns {
                packet.extend([0, 0, 41]);
                packet.extend(size.to_be_bytes());
                packet.extend([0; 4]);
                packet.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
                packet.extend(options);
            }
            packet
        }
    }

    fn resolver_query() -> impl Strategy<Value = ResolverQuery> {
        let labels = [
            "",
            "site.",
            "restricted.",
            "_acme-challenge.site.",
            "mail.",
            "text.",
            "big.",
            "x.wild.",
            "alias.",
            "loop.",
            "out.",
            "ent.",
            "sub.",
            "a.sub.",
            "ns.sub.",
            "no.such.",
        ];
        let name = prop_oneof![
            4 => prop::sample::select(labels.to_vec()).prop_map(|label| format!("{label}example.com")),
            1 => "[a-z]{1,5}(\\.[a-z]{1,5}){0,4}",
        ];
        let record_type = prop_oneof![
            4 => prop::sample::select(vec![1_u16, 28, 2, 6, 15, 16, 5, 43, 255, 252, 41, 65]),
            1 => any::<u16>(),
        ];
        let subnet =
            (1_u8..=2, 0..=48_u8, prop::array::uniform6(any::<u8>())).prop_map(|(family, source, mut octets)| {
                let source = if family == 1 { source.min(32) } else { source };
                let length = usize::from(source.div_ceil(8));
                if let Some(last) = octets[..length].last_mut().filter(|_| source % 8 != 0) {
                    *last &= 0xff << (8 - source % 8);
                }
                let size = u8::try_from(4 + length).unwrap();
                [&[0, 8, 0, size, 0, family, source, 0][..], &octets[..length]].concat()
            });
        let options = prop::collection::vec(
            prop_oneof![3 => subnet, 1 => Just(vec![0, 3, 0, 0]), 1 => Just(vec![0, 10, 0, 2, 7, 7])],
            0..3,
        );
        let edns = prop::option::of((any::<u16>(), options.prop_map(|options| options.concat())));
        (name, record_type, edns).prop_map(|(name, record_type, edns)| ResolverQuery { name, record_type, edns })
    }

    fn response_to(packet: &[u8], transport: Transport) -> Option<(Vec<u8>, Rcode)> {
        let mut buffer = vec![0xaa; if transport == Transport::Tcp { 65_535 } else { UDP_SIZE.into() }];
        let mut name = NameBuffer::default();
        let summary = answer(packet, [198, 51, 100, 7].into(), transport, &SNAPSHOT, &mut name, &mut buffer)?;
        let (length, rcode) = (summary.length, summary.rcode);
        buffer.truncate(length);
        Some((buffer, rcode))
    }

    /// Checks what is true of every response, with hickory's decoder.
    fn check(packet: &[u8], answer: &[u8], rcode: Rcode) -> Message {
        let message = Message::from_vec(answer).unwrap_or_else(|error| panic!("{packet:02x?} {answer:02x?} {error}"));
        assert_eq!(answer[..2], packet[..2], "the id");
        assert_eq!(message.metadata.message_type, MessageType::Response);
        assert!(!message.metadata.recursion_available && !message.metadata.authentic_data);
        assert_eq!(message.metadata.recursion_desired, packet[2] & 1 == 1);
        assert_eq!(u16::from(message.metadata.response_code), rcode.0);
        assert!(!message.metadata.truncation || message.answers.is_empty());
        message
    }

    fn answers(name: &str, record_type: u16) -> (Vec<String>, u16) {
        let packet = ResolverQuery { name: name.to_owned(), record_type, edns: None }.packet();
        let (answer, rcode) = response_to(&packet, Transport::Udp).unwrap();
        let message = check(&packet, &answer, rcode);
        (message.answers.iter().map(|record| format!("{} {}", record.ttl, record.data)).collect(), rcode.0)
    }

    #[test]
    fn name_of_the_fleet_with_a_certificate_has_an_https_record() {
        let https = |name| answers(name, RecordType::HTTPS.0);
        assert_eq!(https("site.example.com"), (vec!["300 1 . alpn=h2,http/1.1,".to_owned()], 0));
        // No certificate; records of the operator's own; none.
        for name in ["restricted.example.com", "mail.example.com", "text.example.com"] {
            assert_eq!(https(name), (vec![], 0), "{name}");
        }
    }

    #[test]
    fn name_of_the_fleet_has_caa_records() {
        let caa = |name| answers(name, RecordType::CAA.0);
        let issuers = ["300 0 issue \"ca.example\"".to_owned(), "300 0 issue \"letsencrypt.org\"".to_owned()];
        for name in ["site.example.com", "restricted.example.com", "mail.example.com"] {
            assert_eq!(caa(name), (issuers.to_vec(), 0), "{name}");
        }
        assert_eq!(caa("text.example.com"), (vec![], 0), "not the fleet's");
    }

    #[test]
    fn challenge_is_answered_with_its_texts_alone() {
        let name = "_acme-challenge.site.example.com";
        assert_eq!(answers(name, RecordType::TXT.0), (vec!["0 one".to_owned(), "0 two".to_owned()], 0));
        assert_eq!(answers(name, RecordType::A.0), (vec![], 0));
        assert_eq!(answers("x._acme-challenge.site.example.com", RecordType::TXT.0), (vec![], Rcode::NXDOMAIN.0));
        assert_eq!(answers("site.example.com", RecordType::TXT.0), (vec![], 0));
        assert_eq!(answers("site.example.com", RecordType::A.0).0.len(), 2);
    }

    proptest! {
        // PROPTEST_CASES=20000000 takes minutes.
        #[test]
        fn arbitrary_packets_get_well_formed_responses(
            query in resolver_query(),
            flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            cut in prop::option::of(any::<prop::sample::Index>()),
            tail in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut packet = query.packet();
            packet.extend(tail);
            for (at, value) in flips {
                let at = at.index(packet.len());
                packet[at] = value;
            }
            if let Some(cut) = cut {
                packet.truncate(cut.index(packet.len()));
            }
            for transport in [Transport::Udp, Transport::Tcp] {
                match response_to(&packet, transport) {
                    Some((answer, rcode)) => drop(check(&packet, &answer, rcode)),
                    None => prop_assert!(packet.len() < 12 || packet[2] & 0x80 != 0),
                }
            }
        }

        #[test]
        fn responses_respect_the_size_and_options_of_the_query(query in resolver_query()) {
            let packet = query.packet();
            let (over_udp, rcode) = response_to(&packet, Transport::Udp).unwrap();
            let udp = check(&packet, &over_udp, rcode);
            let limit = query.edns.as_ref().map_or(512, |(size, _)| (*size).clamp(512, 1232));
            prop_assert!(over_udp.len() <= usize::from(limit));
            let (over_tcp, _) = response_to(&packet, Transport::Tcp).unwrap();
            let tcp = check(&packet, &over_tcp, rcode);
            prop_assert!(!tcp.metadata.truncation);
            // Both are equal unless the UDP response is truncated. It may lack glue that is not required.
            if !udp.metadata.truncation {
                prop_assert_eq!(&udp.answers, &tcp.answers);
                prop_assert_eq!(&udp.authorities, &tcp.authorities);
            }
            prop_assert_eq!(udp.edns.is_some(), query.edns.is_some());
            let option = |message: &Message, code| {
                message.edns.as_ref().and_then(|edns| edns.option(code).cloned())
            };
            let subnets = query.edns.as_ref().map_or(0, |(_, options)| options.windows(2).filter(|two| *two == [0, 8]).count());
            if rcode != Rcode::FORMERR && subnets == 0 {
                prop_assert_eq!(option(&udp, EdnsCode::Subnet), None);
            }
            if let Some(EdnsOption::Subnet(subnet)) = option(&udp, EdnsCode::Subnet) {
                let most = if subnet.addr().is_ipv4() { 24 } else { 48 };
                prop_assert!(subnet.scope_prefix() <= most);
            }
            prop_assert_eq!(option(&udp, EdnsCode::Unknown(10)), None);
        }
    }
}
