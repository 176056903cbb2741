//! Parses queries, as strictly as the RFCs require.

mod edns;
mod reader;

use self::edns::EdnsError;
pub(crate) use self::edns::{ClientSubnet, Edns};
use self::reader::{FormatError, Reader};
use super::message::{CLASS_IN, Header, Rcode};
use super::name::Name;
use super::record::RecordType;

/// A well-formed query.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    pub(crate) header: Header,
    /// The question section as it was sent. The response repeats it byte by byte: resolvers check its case.
    pub(crate) question: &'a [u8],
    /// QNAME, in canonical wire form.
    pub(crate) name: &'a [u8],
    /// QTYPE.
    pub(crate) record_type: RecordType,
    /// QCLASS.
    pub(crate) class: u16,
    /// The OPT record, if there is one.
    pub(crate) edns: Option<Edns>,
}

/// A packet whose response is an error, whatever the zones hold.
#[derive(Debug)]
pub(crate) struct Rejected<'a> {
    pub(crate) header: Header,
    /// The question section, if it could be parsed.
    pub(crate) question: Option<&'a [u8]>,
    /// The error.
    pub(crate) rcode: Rcode,
    /// Whether the response has an OPT record.
    pub(crate) edns: bool,
}

/// A received packet.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    Query(Query<'a>),
    Rejected(Rejected<'a>),
    /// There must be no response: it is shorter than a header, or itself a response.
    Ignore,
}

const OPCODE_QUERY: u8 = 0;

impl Query<'_> {
    /// Whether its class is IN.
    pub(crate) fn is_internet(&self) -> bool {
        self.class == CLASS_IN
    }
}

/// Parses a packet. `name` is overwritten with QNAME in lowercase.
///
/// 1. RFC 1035 §4.1.1: the header is that of a query (QR clear) with opcode QUERY; other opcodes get NOTIMP.
/// 2. RFC 9619: there is exactly one question.
/// 3. RFC 6891 §6.1.1: there is at most one OPT record, in the additional section, with the root as its owner.
/// 4. RFC 6891 §6.1.3: its version is 0, otherwise BADVERS, whatever its options are.
/// 5. RFC 7871 §7.1.2, §11: a client subnet has exactly the bytes of its prefix, no bits beyond that, and scope 0.
pub(crate) fn read<'a>(packet: &'a [u8], name: &'a mut NameBuffer) -> Packet<'a> {
    let mut reader = Reader::new(packet);
    let Some((header, counts)) = read_header(&mut reader) else { return Packet::Ignore };
    let rejected = |rcode, question, edns| Packet::Rejected(Rejected { header, question, rcode, edns });
    if header.opcode != OPCODE_QUERY {
        return rejected(Rcode::NOTIMP, None, false);
    }
    if counts.questions != 1 {
        return rejected(Rcode::FORMERR, None, false);
    }
    let start = reader.at();
    let Ok((name, record_type, class)) = read_question(&mut reader, name) else {
        return rejected(Rcode::FORMERR, None, false);
    };
    let question = &packet[start..reader.at()];
    match read_edns(&mut reader, &counts) {
        Ok(edns) => Packet::Query(Query { header, question, name, record_type, class, edns }),
        Err(EdnsError::Version) => rejected(Rcode::BADVERS, Some(question), true),
        Err(EdnsError::Malformed { edns }) => rejected(Rcode::FORMERR, Some(question), edns),
    }
}

struct Counts {
    questions: u16,
    /// Of the answer and authority sections together.
    before_additional: u32,
    additional: u16,
}

fn read_header(reader: &mut Reader<'_>) -> Option<(Header, Counts)> {
    let (id, flags) = (reader.u16().ok()?, reader.u16().ok()?);
    let counts = [reader.u16().ok()?, reader.u16().ok()?, reader.u16().ok()?, reader.u16().ok()?];
    if flags & 0x8000 != 0 {
        return None;
    }
    let opcode = u8::try_from(flags >> 11 & 0xf).unwrap_or_default();
    let header = Header { id, opcode, recursion_desired: flags & 0x0100 != 0 };
    let before_additional = u32::from(counts[1]) + u32::from(counts[2]);
    Some((header, Counts { questions: counts[0], before_additional, additional: counts[3] }))
}

fn read_question<'n>(
    reader: &mut Reader<'_>,
    NameBuffer(name): &'n mut NameBuffer,
) -> Result<(&'n [u8], RecordType, u16), FormatError> {
    let mut end = 0;
    loop {
        let length = reader.u8()?;
        // A compression pointer has nothing before it to point to.
        if length > 63 {
            return Err(FormatError);
        }
        let label = reader.take(length.into())?;
        let room = name.get_mut(end..=end + label.len()).ok_or(FormatError)?;
        room[0] = length;
        room[1..].copy_from_slice(label);
        room[1..].make_ascii_lowercase();
        end += room.len();
        if length == 0 {
            return Ok((&name[..end], RecordType(reader.u16()?), reader.u16()?));
        }
    }
}

/// Reads the OPT record and skips all others after the question. Bytes after the last record are an error.
fn read_edns(reader: &mut Reader<'_>, counts: &Counts) -> Result<Option<Edns>, EdnsError> {
    let mut found = None;
    let malformed = |found: &Option<Edns>| EdnsError::Malformed { edns: found.is_some() };
    for number in 0..counts.before_additional + u32::from(counts.additional) {
        let record = reader.record().map_err(|FormatError| malformed(&found))?;
        if record.record_type != RecordType::OPT {
            continue;
        }
        if number < counts.before_additional || found.is_some() || !record.at_root {
            return Err(EdnsError::Malformed { edns: true });
        }
        found = Some(Edns::read(record.class, record.ttl, record.data)?);
    }
    if reader.is_at_end() { Ok(found) } else { Err(malformed(&found)) }
}

/// Holds the lowercase name of a query. Each thread or connection has one and reuses it.
pub(crate) struct NameBuffer([u8; Name::MAX]);

impl Default for NameBuffer {
    fn default() -> Self {
        Self([0; Name::MAX])
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A query for `Www.example.` A, followed by `rest`.
    fn packet(flags: u16, counts: [u16; 4], rest: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x12, 0x34];
        packet.extend(flags.to_be_bytes());
        packet.extend(counts.iter().flat_map(|count| count.to_be_bytes()));
        packet.extend(b"\x03Www\x07example\0\0\x01\0\x01");
        packet.extend(rest);
        packet
    }

    fn opt(version: u8, options: &[u8]) -> Vec<u8> {
        let mut opt = vec![0, 0, 41, 0x10, 0, 0, version, 0, 0];
        opt.extend(u16::try_from(options.len()).unwrap().to_be_bytes());
        opt.extend(options);
        opt
    }

    fn rcode(packet: &[u8]) -> Option<Rcode> {
        match read(packet, &mut NameBuffer::default()) {
            Packet::Query(_) => Some(Rcode::NOERROR),
            Packet::Rejected(rejected) => Some(rejected.rcode),
            Packet::Ignore => None,
        }
    }

    #[test]
    fn query_without_edns_is_parsed() {
        let packet = packet(0x0100, [1, 0, 0, 0], b"");
        let mut name = NameBuffer::default();
        let Packet::Query(query) = read(&packet, &mut name) else { panic!("a query") };
        assert_eq!(query.header, Header { id: 0x1234, opcode: 0, recursion_desired: true });
        assert_eq!(query.name, b"\x03www\x07example\0");
        assert_eq!(query.question, b"\x03Www\x07example\0\0\x01\0\x01");
        assert_eq!((query.record_type, query.is_internet()), (RecordType::A, true));
        assert!(query.edns.is_none());
    }

    #[test]
    fn responses_and_short_packets_are_ignored() {
        assert_eq!(rcode(&packet(0x8000, [1, 0, 0, 0], b"")), None);
        assert_eq!(rcode(b""), None);
        assert_eq!(rcode(&packet(0, [1, 0, 0, 0], b"")[..11]), None);
    }

    #[test]
    fn other_opcodes_and_wrong_counts_are_rejected() {
        for opcode in 1..16 {
            assert_eq!(rcode(&packet(opcode << 11, [1, 0, 0, 0], b"")), Some(Rcode::NOTIMP));
        }
        assert_eq!(rcode(&packet(0, [0, 0, 0, 0], b"")), Some(Rcode::FORMERR));
        assert_eq!(rcode(&packet(0, [2, 0, 0, 0], b"\0\0\x01\0\x01")), Some(Rcode::FORMERR));
        assert_eq!(rcode(&packet(0, [1, 0, 0, 0], b"left over")), Some(Rcode::FORMERR));
        assert_eq!(rcode(&packet(0, [1, 0, 0, 1], b"")), Some(Rcode::FORMERR));
        assert_eq!(rcode(&packet(0, [1, 0, 1, 0], b"\xc0\x0c\0\x06\0\x01\0\0\0\0\0\0")), Some(Rcode::NOERROR));
    }

    #[test]
    fn malformed_names_are_rejected() {
        for name in [&b"\xc0\x0c"[..], b"\x40", b"\x03ww", b"\x3f"] {
            let mut bad = packet(0, [1, 0, 0, 0], b"")[..12].to_vec();
            bad.extend(name);
            assert_eq!(rcode(&bad), Some(Rcode::FORMERR), "{name:?}");
        }
        let mut long = packet(0, [1, 0, 0, 0], b"")[..12].to_vec();
        long.extend([&[63][..], &[b'a'; 63]].concat().repeat(4));
        long.extend(b"\0\0\x01\0\x01");
        assert_eq!(rcode(&long), Some(Rcode::FORMERR));
    }

    #[test]
    fn opt_must_be_single_of_version_0_and_at_the_root() {
        assert_eq!(rcode(&packet(0, [1, 0, 0, 1], &opt(0, b""))), Some(Rcode::NOERROR));
        assert_eq!(rcode(&packet(0, [1, 0, 0, 1], &opt(1, b""))), Some(Rcode::BADVERS));
        assert_eq!(rcode(&packet(0, [1, 0, 0, 1], &opt(1, b"\0\x08\0\x04\0\x09\x20\0"))), Some(Rcode::BADVERS));
        assert_eq!(rcode(&packet(0, [1, 0, 0, 2], &opt(0, b"").repeat(2))), Some(Rcode::FORMERR));
        assert_eq!(rcode(&packet(0, [1, 1, 0, 0], &opt(0, b""))), Some(Rcode::FORMERR));
        let mut elsewhere = b"\x01a".to_vec();
        elsewhere.extend(opt(0, b""));
        assert_eq!(rcode(&packet(0, [1, 0, 0, 1], &elsewhere)), Some(Rcode::FORMERR));
    }

    proptest! {
        #[test]
        fn arbitrary_packets_never_panic(packet in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = rcode(&packet);
        }

        #[test]
        fn arbitrary_bytes_after_the_question_never_panic(rest in prop::collection::vec(any::<u8>(), 0..100), count in 0_u16..4) {
            let _ = rcode(&packet(0, [1, 0, 0, count], &rest));
            let _ = rcode(&packet(0, [1, 0, 0, 1], &opt(0, &rest)));
        }
    }
}
