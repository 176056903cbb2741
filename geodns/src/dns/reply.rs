//! Writing an answer.

mod names;

use std::net::IpAddr;

use self::names::Names;
use super::query::{Edns, Header, Subnet};
use super::rcode::Rcode;
use super::record::{RecordSet, RecordType};

/// Where records go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    /// What was asked for.
    Answer,
    /// Who knows more, or how long nothing is known.
    Authority,
    /// Addresses of those.
    Additional,
}

/// The answer does not fit. What was written of the record set is taken back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// An answer in the making. Its size never passes the limit; record sets are in it whole or not at all (RFC 2181 §9).
pub(crate) struct Reply<'b, 'n> {
    buffer: &'b mut [u8],
    at: usize,
    /// Where the records must end, so that the OPT record still fits.
    limit: usize,
    flags: u16,
    counts: [u16; 3],
    names: Names<'n>,
}

const HEADER: usize = 12;
const CLASS_IN: u16 = 1;
const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;

/// The most bytes of an OPT record without options.
const OPT: usize = 11;

/// What a server says of its own UDP size (RFC 6891 §6.2.3); also the most it sends.
pub(crate) const UDP_SIZE: u16 = 1232;

/// What goes into the OPT record of an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt<'a> {
    dnssec_ok: bool,
    subnet: Option<(Subnet, u8)>,
    node_id: Option<&'a [u8]>,
}

impl<'a> Opt<'a> {
    /// One without options.
    pub(crate) const EMPTY: Self = Self { dnssec_ok: false, subnet: None, node_id: None };

    /// What answers `edns`: what was not asked for is not sent. `node` is this server's name.
    pub(crate) fn answering(edns: &Edns, node: &'a [u8]) -> Self {
        let node_id = edns.node_id.then_some(node);
        Self { dnssec_ok: edns.dnssec_ok, subnet: edns.subnet.map(|subnet| (subnet, 0)), node_id }
    }

    /// The answer holds for this many bits of the client subnet that was asked about (RFC 7871 §7.2.1).
    pub(crate) fn set_scope(&mut self, bits: u8) {
        if let Some((_, scope)) = &mut self.subnet {
            *scope = bits;
        }
    }

    fn size(&self) -> usize {
        let subnet = self.subnet.as_ref().map_or(0, |(subnet, _)| 8 + subnet.octets().len());
        OPT + subnet + self.node_id.map_or(0, |id| 4 + id.len())
    }
}

impl<'b, 'n> Reply<'b, 'n> {
    /// Begins an answer of at most `limit` bytes, `opt` included. `question` is echoed as it is; `name` is its name in lowercase.
    /// `buffer` must hold 512 bytes, and `limit` be at least that.
    pub(crate) fn new(
        buffer: &'b mut [u8],
        limit: usize,
        header: Header,
        question: Option<(&[u8], &'n [u8])>,
        opt: Option<&Opt<'_>>,
    ) -> Self {
        let limit = limit.min(buffer.len()) - opt.map_or(0, Opt::size);
        let flags = QR | u16::from(header.opcode) << 11 | if header.recursion_desired { RD } else { 0 };
        let mut reply = Self { buffer, at: HEADER, limit, flags, counts: [0; 3], names: Names::default() };
        reply.buffer[..2].copy_from_slice(&header.id.to_be_bytes());
        reply.buffer[4..6].copy_from_slice(&u16::from(question.is_some()).to_be_bytes());
        if let Some((question, name)) = question {
            // At most 259 bytes: it fits any limit.
            reply.buffer[HEADER..HEADER + question.len()].copy_from_slice(question);
            reply.at += question.len();
            reply.names.add(HEADER, name);
        }
        reply
    }

    /// It is the zone's own word.
    pub(crate) fn set_authoritative(&mut self) {
        self.flags |= AA;
    }

    /// Takes everything back and says that there is more over TCP.
    pub(crate) fn truncate(&mut self, question: usize) {
        self.at = HEADER + question;
        self.counts = [0; 3];
        self.flags |= TC;
    }

    /// Adds a record set. `owner` is a canonical name; what it shares with names before is pointed at.
    pub(crate) fn add_set(&mut self, section: Section, owner: &'n [u8], set: &RecordSet) -> Result<(), Full> {
        self.add_set_for(section, owner, set, set.ttl)
    }

    /// The same, with another time to live, in seconds.
    pub(crate) fn add_set_for(
        &mut self,
        section: Section,
        owner: &'n [u8],
        set: &RecordSet,
        ttl: u32,
    ) -> Result<(), Full> {
        self.whole(section, |reply| {
            set.data.iter().try_fold(0, |count, data| {
                reply.record(owner, set.record_type, CLASS_IN, ttl, data)?;
                Ok(count + 1)
            })
        })
    }

    /// Adds an alias, and remembers its target for the records to come.
    pub(crate) fn add_alias(&mut self, owner: &'n [u8], ttl: u32, target: &'n [u8]) -> Result<(), Full> {
        self.whole(Section::Answer, |reply| {
            reply.record(owner, RecordType::CNAME, CLASS_IN, ttl, target)?;
            reply.names.add(reply.at - target.len(), target);
            Ok(1)
        })
    }

    /// Adds addresses, all of one family.
    pub(crate) fn add_addresses(
        &mut self,
        owner: &'n [u8],
        ttl: u32,
        mut addresses: impl Iterator<Item = IpAddr>,
    ) -> Result<(), Full> {
        self.whole(Section::Answer, |reply| {
            addresses.try_fold(0, |count, address| {
                match address {
                    IpAddr::V4(address) => reply.record(owner, RecordType::A, CLASS_IN, ttl, &address.octets())?,
                    IpAddr::V6(address) => reply.record(owner, RecordType::AAAA, CLASS_IN, ttl, &address.octets())?,
                }
                Ok(count + 1)
            })
        })
    }

    /// Writes a record set, which says how many records it has, or nothing of it.
    fn whole(&mut self, section: Section, write: impl FnOnce(&mut Self) -> Result<u16, Full>) -> Result<(), Full> {
        let (at, names) = (self.at, self.names.count());
        let written = write(self);
        if let Ok(count) = written {
            self.counts[section as usize] += count;
        } else {
            self.at = at;
            self.names.forget_after(names);
        }
        written.map(drop)
    }

    fn record(
        &mut self,
        owner: &'n [u8],
        record_type: RecordType,
        class: u16,
        ttl: u32,
        data: &[u8],
    ) -> Result<(), Full> {
        let (labels, pointer) = self.names.compress(owner);
        let at = self.at;
        self.put(labels)?;
        match pointer {
            Some(pointer) => self.put(&(0xc000 | pointer).to_be_bytes())?,
            None => self.put(&[0])?,
        }
        if !labels.is_empty() {
            self.names.add(at, owner);
        }
        let length = u16::try_from(data.len()).map_err(|_| Full)?;
        let mut fixed = [0; 10];
        fixed[..2].copy_from_slice(&record_type.0.to_be_bytes());
        fixed[2..4].copy_from_slice(&class.to_be_bytes());
        fixed[4..8].copy_from_slice(&ttl.to_be_bytes());
        fixed[8..].copy_from_slice(&length.to_be_bytes());
        self.put(&fixed)?;
        self.put(data)
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Full> {
        let end = self.at + bytes.len();
        if end > self.limit {
            return Err(Full);
        }
        self.buffer[self.at..end].copy_from_slice(bytes);
        self.at = end;
        Ok(())
    }

    /// Ends it. `opt` must be the one, or of the size of the one, that it was begun with. Returns its length.
    pub(crate) fn finish(mut self, rcode: Rcode, opt: Option<&Opt<'_>>) -> usize {
        if let Some(opt) = opt {
            self.limit += opt.size();
            let end = self.at + opt.size();
            self.put_opt(rcode, opt).expect("room was kept for it");
            debug_assert_eq!(self.at, end);
        }
        let flags = self.flags | rcode.0 & 0xf;
        self.buffer[2..4].copy_from_slice(&flags.to_be_bytes());
        let additional = self.counts[2] + u16::from(opt.is_some());
        for (at, count) in [(6, self.counts[0]), (8, self.counts[1]), (10, additional)] {
            self.buffer[at..at + 2].copy_from_slice(&count.to_be_bytes());
        }
        self.at
    }

    fn put_opt(&mut self, rcode: Rcode, opt: &Opt<'_>) -> Result<(), Full> {
        let options = u16::try_from(opt.size() - OPT).map_err(|_| Full)?;
        self.put(&[0])?;
        self.put(&RecordType::OPT.0.to_be_bytes())?;
        self.put(&UDP_SIZE.to_be_bytes())?;
        // The upper bits of the code, version 0, the flag that was sent.
        self.put(&[u8::try_from(rcode.0 >> 4).map_err(|_| Full)?, 0, if opt.dnssec_ok { 0x80 } else { 0 }, 0])?;
        self.put(&options.to_be_bytes())?;
        if let Some((subnet, scope)) = &opt.subnet {
            let octets = subnet.octets();
            self.put(&8_u16.to_be_bytes())?;
            self.put(&u16::try_from(4 + octets.len()).map_err(|_| Full)?.to_be_bytes())?;
            self.put(&subnet.family.to_be_bytes())?;
            self.put(&[subnet.source, *scope])?;
            self.put(octets)?;
        }
        if let Some(id) = opt.node_id {
            self.put(&3_u16.to_be_bytes())?;
            self.put(&u16::try_from(id.len()).map_err(|_| Full)?.to_be_bytes())?;
            self.put(id)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::name::Name;
    use crate::dns::query::{self, NameBuffer, Packet};

    const HEADER_OF_QUERY: Header = Header { id: 7, opcode: 0, recursion_desired: true };
    const QUESTION: &[u8] = b"\x03wWw\x07example\0\0\x01\0\x01";

    fn set(record_type: RecordType, data: &[&[u8]]) -> RecordSet {
        RecordSet { record_type, ttl: 60, data: data.iter().map(|data| Box::from(*data)).collect() }
    }

    #[test]
    fn names_are_pointed_at() {
        let mut buffer = [0; 512];
        let (www, apex) = (Name::parse("www.example").unwrap(), Name::parse("example").unwrap());
        let mut reply = Reply::new(&mut buffer, 512, HEADER_OF_QUERY, Some((QUESTION, www.wire())), None);
        reply.set_authoritative();
        reply.add_alias(www.wire(), 60, b"\x01a\x07example\0").unwrap();
        reply.add_addresses(b"\x01a\x07example\0", 60, std::iter::once([192, 0, 2, 1].into())).unwrap();
        reply.add_set(Section::Authority, apex.wire(), &set(RecordType::NS, &[b"\x02ns\0"])).unwrap();
        let length = reply.finish(Rcode::NOERROR, None);
        let expected: &[&[u8]] = &[
            b"\0\x07\x85\0\0\x01\0\x02\0\x01\0\0",
            QUESTION,
            b"\xc0\x0c\0\x05\0\x01\0\0\0\x3c\0\x0b\x01a\x07example\0",
            b"\xc0\x29\0\x01\0\x01\0\0\0\x3c\0\x04\xc0\0\x02\x01",
            b"\xc0\x10\0\x02\0\x01\0\0\0\x3c\0\x04\x02ns\0",
        ];
        assert_eq!(&buffer[..length], expected.concat());
    }

    #[test]
    fn a_set_is_in_it_whole_or_not_at_all() {
        let mut buffer = [0; 600];
        let www = Name::parse("www.example").unwrap();
        let opt = Opt::EMPTY;
        let mut reply = Reply::new(&mut buffer, 512, HEADER_OF_QUERY, Some((QUESTION, www.wire())), Some(&opt));
        let text = [&[255][..], &[b'x'; 255]].concat();
        reply.add_set(Section::Answer, www.wire(), &set(RecordType::TXT, &[&text])).unwrap();
        let two = set(RecordType::TXT, &[b"\x01a", &text]);
        assert_eq!(reply.add_set(Section::Additional, www.wire(), &two), Err(Full));
        let length = reply.finish(Rcode::NOERROR, Some(&opt));
        assert_eq!(length, 12 + QUESTION.len() + 12 + 256 + 11);
        assert_eq!(&buffer[4..12], b"\0\x01\0\x01\0\0\0\x01");
    }

    #[test]
    fn what_was_asked_with_is_sent_back() {
        let packet = [
            &b"\0\x07\0\0\0\x01\0\0\0\0\0\x01"[..],
            QUESTION,
            b"\0\0\x29\x04\xd0\0\0\x80\0\0\x0f\0\x08\0\x07\0\x01\x18\0\xc0\0\x02\0\x03\0\0",
        ]
        .concat();
        let mut name = NameBuffer::default();
        let Packet::Query(query) = query::read(&packet, &mut name) else { panic!("a query") };
        let mut opt = Opt::answering(&query.edns.unwrap(), b"ns-1");
        let mut buffer = [0; 512];
        let reply = Reply::new(&mut buffer, 512, query.header, Some((query.question, query.name)), Some(&opt));
        opt.set_scope(20);
        let length = reply.finish(Rcode::BADVERS, Some(&opt));
        let end: &[&[u8]] =
            &[b"\0\0\x29\x04\xd0\x01\0\x80\0\0\x13", b"\0\x08\0\x07\0\x01\x18\x14\xc0\0\x02", b"\0\x03\0\x04ns-1"];
        assert!(buffer[..length].ends_with(&end.concat()));
        assert_eq!(buffer[3] & 0xf, 0);
    }
}
