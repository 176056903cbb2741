//! Reading a query, as strictly as the RFCs ask.

mod edns;
mod reader;

use self::edns::EdnsError;
pub(crate) use self::edns::{Edns, Subnet};
use self::reader::{Cut, Reader};
use super::name::Name;
use super::rcode::Rcode;
use super::record::RecordType;

/// A question that can be answered.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    /// What its answer's header takes over.
    pub(crate) header: Header,
    /// The question as it was sent, to be echoed byte by byte: resolvers check its case.
    pub(crate) question: &'a [u8],
    /// The name that is asked for, in canonical wire form.
    pub(crate) name: &'a [u8],
    /// The type that is asked for.
    pub(crate) record_type: RecordType,
    /// The class that is asked for.
    pub(crate) class: u16,
    /// What came with its OPT record, if it had one.
    pub(crate) edns: Option<Edns>,
}

/// What an answer's header takes over from the query's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Chosen by who asks.
    pub(crate) id: u16,
    /// From 0 to 15.
    pub(crate) opcode: u8,
    /// Recursion desired: echoed, never done.
    pub(crate) recursion_desired: bool,
}

/// A packet that gets an answer without anything being looked up.
#[derive(Debug)]
pub(crate) struct Unanswerable<'a> {
    /// What its answer's header takes over.
    pub(crate) header: Header,
    /// The question, as far as it could be read.
    pub(crate) question: Option<&'a [u8]>,
    /// Why.
    pub(crate) rcode: Rcode,
    /// Whether its answer has an OPT record too.
    pub(crate) edns: bool,
}

/// What a packet comes to.
#[derive(Debug)]
pub(crate) enum Packet<'a> {
    /// A question.
    Query(Query<'a>),
    /// It is answered with an error.
    Unanswerable(Unanswerable<'a>),
    /// It gets no answer: shorter than a header, or itself an answer, which must never be answered.
    Noise,
}

const CLASS_IN: u16 = 1;
const OPCODE_QUERY: u8 = 0;

impl Query<'_> {
    /// Whether its class is the internet's.
    pub(crate) fn is_internet(&self) -> bool {
        self.class == CLASS_IN
    }
}

/// Reads a packet. Never fails on what strangers send: a bad packet is an [`Unanswerable`], or noise.
///
/// 1. RFC 1035 §4.1.1: a header, that of a query (QR clear), with opcode QUERY; another gets NOTIMP.
/// 2. RFC 9619: exactly one question.
/// 3. RFC 6891 §6.1.1: at most one OPT, in the additional section, at the root.
/// 4. RFC 6891 §6.1.3: version 0, else BADVERS, whatever its options hold.
/// 5. RFC 7871 §7.1.2, §11: client subnet options exactly as long as they say, no bits beyond the prefix, scope 0.
pub(crate) fn read<'a>(packet: &'a [u8], name: &'a mut NameBuffer) -> Packet<'a> {
    let mut reader = Reader::new(packet);
    let Some((header, counts)) = head(&mut reader) else { return Packet::Noise };
    let unanswerable = |rcode, question, edns| Packet::Unanswerable(Unanswerable { header, question, rcode, edns });
    if header.opcode != OPCODE_QUERY {
        return unanswerable(Rcode::NOTIMP, None, false);
    }
    if counts.questions != 1 {
        return unanswerable(Rcode::FORMERR, None, false);
    }
    let start = reader.at();
    let Ok((name, record_type, class)) = question(&mut reader, name) else {
        return unanswerable(Rcode::FORMERR, None, false);
    };
    let question = &packet[start..reader.at()];
    match edns(&mut reader, &counts) {
        Ok(edns) => Packet::Query(Query { header, question, name, record_type, class, edns }),
        Err(EdnsError::Version) => unanswerable(Rcode::BADVERS, Some(question), true),
        Err(EdnsError::Malformed { edns }) => unanswerable(Rcode::FORMERR, Some(question), edns),
    }
}

struct Counts {
    questions: u16,
    /// Of the answer and authority sections together.
    before_additional: u32,
    additional: u16,
}

fn head(reader: &mut Reader<'_>) -> Option<(Header, Counts)> {
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

fn question<'n>(
    reader: &mut Reader<'_>,
    NameBuffer(name): &'n mut NameBuffer,
) -> Result<(&'n [u8], RecordType, u16), Cut> {
    let mut end = 0;
    loop {
        let length = reader.u8()?;
        // Compression has nothing before it to point at here.
        if length > 63 {
            return Err(Cut);
        }
        let label = reader.take(length.into())?;
        let room = name.get_mut(end..=end + label.len()).ok_or(Cut)?;
        room[0] = length;
        room[1..].copy_from_slice(label);
        room[1..].make_ascii_lowercase();
        end += room.len();
        if length == 0 {
            return Ok((&name[..end], RecordType(reader.u16()?), reader.u16()?));
        }
    }
}

/// Passes over the records behind the question; the OPT among them is read. What is left at the end is a fault.
fn edns(reader: &mut Reader<'_>, counts: &Counts) -> Result<Option<Edns>, EdnsError> {
    let mut found = None;
    let malformed = |found: &Option<Edns>| EdnsError::Malformed { edns: found.is_some() };
    for number in 0..counts.before_additional + u32::from(counts.additional) {
        let record = reader.record().map_err(|Cut| malformed(&found))?;
        if record.kind != RecordType::OPT {
            continue;
        }
        if number < counts.before_additional || found.is_some() || !record.at_root {
            return Err(EdnsError::Malformed { edns: true });
        }
        found = Some(Edns::read(record.class, record.ttl, record.data)?);
    }
    if reader.is_at_end() { Ok(found) } else { Err(malformed(&found)) }
}

/// Where the name of a question is put in lowercase: one for each who reads, used again for each question.
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

    /// A query for `Www.example.` A with this much behind it.
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
            Packet::Unanswerable(unanswerable) => Some(unanswerable.rcode),
            Packet::Noise => None,
        }
    }

    #[test]
    fn a_plain_query() {
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
    fn what_is_no_query_is_not_answered() {
        assert_eq!(rcode(&packet(0x8000, [1, 0, 0, 0], b"")), None);
        assert_eq!(rcode(b""), None);
        assert_eq!(rcode(&packet(0, [1, 0, 0, 0], b"")[..11]), None);
    }

    #[test]
    fn opcodes_and_counts() {
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
    fn names_that_are_none() {
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
    fn one_opt_of_version_0_at_the_root() {
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
        fn arbitrary_ends_never_panic(rest in prop::collection::vec(any::<u8>(), 0..100), count in 0_u16..4) {
            let _ = rcode(&packet(0, [1, 0, 0, count], &rest));
            let _ = rcode(&packet(0, [1, 0, 0, 1], &opt(0, &rest)));
        }
    }
}
