//! Writes responses.

mod compression;

use std::net::IpAddr;

use self::compression::CompressionTable;
use super::message::{CLASS_IN, Header, OPTION_CLIENT_SUBNET, OPTION_NSID, Rcode};
use super::query::{ClientSubnet, Edns};
use super::record::{RecordSet, RecordType};

/// A section of a response (RFC 1035 §4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Answer,
    Authority,
    Additional,
}

/// The record set does not fit. Nothing of it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Full;

/// Writes a response into a buffer. The response never exceeds the limit, and has record sets whole or not at all (RFC 2181 §9).
pub(crate) struct ResponseWriter<'b, 'n> {
    buffer: &'b mut [u8],
    at: usize,
    /// Where the records must end: the rest is for the OPT record.
    limit: usize,
    flags: u16,
    counts: [u16; 3],
    names: CompressionTable<'n>,
}

const HEADER: usize = 12;
const QR: u16 = 0x8000;
const AA: u16 = 0x0400;
const TC: u16 = 0x0200;
const RD: u16 = 0x0100;

/// The bytes of an OPT record without options.
const OPT: usize = 11;

/// The UDP payload size that this server announces (RFC 6891 §6.2.3); also the longest UDP response.
pub(crate) const UDP_SIZE: u16 = 1232;

/// The OPT record of a response.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opt<'a> {
    dnssec_ok: bool,
    subnet: Option<(ClientSubnet, u8)>,
    nsid: Option<&'a [u8]>,
}

impl<'a> Opt<'a> {
    /// An OPT record without options.
    pub(crate) const EMPTY: Self = Self { dnssec_ok: false, subnet: None, nsid: None };

    /// The OPT record for a query with `edns`: options that were not requested are left out.
    pub(crate) fn answering(edns: &Edns, nsid: &'a [u8]) -> Self {
        let nsid = edns.nsid.then_some(nsid);
        Self { dnssec_ok: edns.dnssec_ok, subnet: edns.subnet.map(|subnet| (subnet, 0)), nsid }
    }

    /// Sets SCOPE PREFIX-LENGTH: for how many bits of the client subnet the response is valid (RFC 7871 §7.2.1).
    pub(crate) fn set_scope(&mut self, bits: u8) {
        if let Some((_, scope)) = &mut self.subnet {
            *scope = bits;
        }
    }

    fn size(&self) -> usize {
        let subnet = self.subnet.as_ref().map_or(0, |(subnet, _)| 8 + subnet.octets().len());
        OPT + subnet + self.nsid.map_or(0, |id| 4 + id.len())
    }
}

impl<'b, 'n> ResponseWriter<'b, 'n> {
    /// Starts a response of at most `limit` bytes, including `opt`. `question` is the question section as it was sent, and its name
    /// in lowercase. `buffer` and `limit` must be at least 512 bytes.
    pub(crate) fn new(
        buffer: &'b mut [u8],
        limit: usize,
        header: Header,
        question: Option<(&[u8], &'n [u8])>,
        opt: Option<&Opt<'_>>,
    ) -> Self {
        let limit = limit.min(buffer.len()) - opt.map_or(0, Opt::size);
        let flags = QR | u16::from(header.opcode) << 11 | if header.recursion_desired { RD } else { 0 };
        let mut response =
            Self { buffer, at: HEADER, limit, flags, counts: [0; 3], names: CompressionTable::default() };
        response.buffer[..2].copy_from_slice(&header.id.to_be_bytes());
        response.buffer[4..6].copy_from_slice(&u16::from(question.is_some()).to_be_bytes());
        if let Some((question, name)) = question {
            // At most 259 bytes: it fits any limit.
            response.buffer[HEADER..HEADER + question.len()].copy_from_slice(question);
            response.at += question.len();
            response.names.add(HEADER, name);
        }
        response
    }

    /// Sets AA.
    pub(crate) fn set_authoritative(&mut self) {
        self.flags |= AA;
    }

    /// Removes all records and sets TC, so that the client retries over TCP. `question` is the length of the question section.
    pub(crate) fn truncate(&mut self, question: usize) {
        self.at = HEADER + question;
        self.counts = [0; 3];
        self.flags |= TC;
    }

    /// Adds a record set. `owner` is a canonical name, which is compressed.
    pub(crate) fn add_set(&mut self, section: Section, owner: &'n [u8], set: &RecordSet) -> Result<(), Full> {
        self.add_set_with_ttl(section, owner, set, set.ttl)
    }

    /// The same with another TTL, in seconds.
    pub(crate) fn add_set_with_ttl(
        &mut self,
        section: Section,
        owner: &'n [u8],
        set: &RecordSet,
        ttl: u32,
    ) -> Result<(), Full> {
        self.add_whole(section, |response| {
            set.data.iter().try_fold(0, |count, data| {
                response.record(owner, set.record_type, CLASS_IN, ttl, data)?;
                Ok(count + 1)
            })
        })
    }

    /// Adds a CNAME record. Later names are compressed with its target.
    pub(crate) fn add_cname(&mut self, owner: &'n [u8], ttl: u32, target: &'n [u8]) -> Result<(), Full> {
        self.add_whole(Section::Answer, |response| {
            response.record(owner, RecordType::CNAME, CLASS_IN, ttl, target)?;
            response.names.add(response.at - target.len(), target);
            Ok(1)
        })
    }

    /// Adds A or AAAA records. All addresses must be of one family.
    pub(crate) fn add_addresses(
        &mut self,
        owner: &'n [u8],
        ttl: u32,
        mut addresses: impl Iterator<Item = IpAddr>,
    ) -> Result<(), Full> {
        self.add_whole(Section::Answer, |response| {
            addresses.try_fold(0, |count, address| {
                match address {
                    IpAddr::V4(address) => response.record(owner, RecordType::A, CLASS_IN, ttl, &address.octets())?,
                    IpAddr::V6(address) => {
                        response.record(owner, RecordType::AAAA, CLASS_IN, ttl, &address.octets())?;
                    }
                }
                Ok(count + 1)
            })
        })
    }

    /// Writes a record set completely or not at all. `write` returns its number of records.
    fn add_whole(&mut self, section: Section, write: impl FnOnce(&mut Self) -> Result<u16, Full>) -> Result<(), Full> {
        let (at, names) = (self.at, self.names.count());
        let written = write(self);
        if let Ok(count) = written {
            self.counts[section as usize] += count;
        } else {
            self.at = at;
            self.names.truncate(names);
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

    /// Completes the response and returns its length. `opt` must have the size of the one that was given to [`new`](Self::new).
    pub(crate) fn finish(mut self, rcode: Rcode, opt: Option<&Opt<'_>>) -> usize {
        if let Some(opt) = opt {
            self.limit += opt.size();
            let end = self.at + opt.size();
            self.put_opt(rcode, opt).expect("space was reserved for it");
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
        // The upper bits of the response code, version 0, the flag DO.
        self.put(&[u8::try_from(rcode.0 >> 4).map_err(|_| Full)?, 0, if opt.dnssec_ok { 0x80 } else { 0 }, 0])?;
        self.put(&options.to_be_bytes())?;
        if let Some((subnet, scope)) = &opt.subnet {
            let octets = subnet.octets();
            self.put(&OPTION_CLIENT_SUBNET.to_be_bytes())?;
            self.put(&u16::try_from(4 + octets.len()).map_err(|_| Full)?.to_be_bytes())?;
            self.put(&subnet.family.to_be_bytes())?;
            self.put(&[subnet.source, *scope])?;
            self.put(octets)?;
        }
        if let Some(id) = opt.nsid {
            self.put(&OPTION_NSID.to_be_bytes())?;
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

    const QUERY_HEADER: Header = Header { id: 7, opcode: 0, recursion_desired: true };
    const QUESTION: &[u8] = b"\x03wWw\x07example\0\0\x01\0\x01";

    fn set(record_type: RecordType, data: &[&[u8]]) -> RecordSet {
        RecordSet { record_type, ttl: 60, data: data.iter().map(|data| Box::from(*data)).collect() }
    }

    #[test]
    fn owner_names_are_compressed() {
        let mut buffer = [0; 512];
        let (www, apex) = (Name::parse("www.example").unwrap(), Name::parse("example").unwrap());
        let mut response = ResponseWriter::new(&mut buffer, 512, QUERY_HEADER, Some((QUESTION, www.wire())), None);
        response.set_authoritative();
        response.add_cname(www.wire(), 60, b"\x01a\x07example\0").unwrap();
        response.add_addresses(b"\x01a\x07example\0", 60, std::iter::once([192, 0, 2, 1].into())).unwrap();
        response.add_set(Section::Authority, apex.wire(), &set(RecordType::NS, &[b"\x02ns\0"])).unwrap();
        let length = response.finish(Rcode::NOERROR, None);
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
    fn record_set_that_does_not_fit_is_left_out() {
        let mut buffer = [0; 600];
        let www = Name::parse("www.example").unwrap();
        let opt = Opt::EMPTY;
        let mut response =
            ResponseWriter::new(&mut buffer, 512, QUERY_HEADER, Some((QUESTION, www.wire())), Some(&opt));
        let text = [&[255][..], &[b'x'; 255]].concat();
        response.add_set(Section::Answer, www.wire(), &set(RecordType::TXT, &[&text])).unwrap();
        let two = set(RecordType::TXT, &[b"\x01a", &text]);
        assert_eq!(response.add_set(Section::Additional, www.wire(), &two), Err(Full));
        let length = response.finish(Rcode::NOERROR, Some(&opt));
        assert_eq!(length, 12 + QUESTION.len() + 12 + 256 + 11);
        assert_eq!(&buffer[4..12], b"\0\x01\0\x01\0\0\0\x01");
    }

    #[test]
    fn opt_record_has_the_requested_options() {
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
        let response =
            ResponseWriter::new(&mut buffer, 512, query.header, Some((query.question, query.name)), Some(&opt));
        opt.set_scope(20);
        let length = response.finish(Rcode::BADVERS, Some(&opt));
        let end: &[&[u8]] =
            &[b"\0\0\x29\x04\xd0\x01\0\x80\0\0\x13", b"\0\x08\0\x07\0\x01\x18\x14\xc0\0\x02", b"\0\x03\0\x04ns-1"];
        assert!(buffer[..length].ends_with(&end.concat()));
        assert_eq!(buffer[3] & 0xf, 0);
    }
}
