//! Responses, decoded by hickory.

use std::fmt::Write as _;
use std::net::IpAddr;

use hickory_proto::op::{Message, MessageType};
use hickory_proto::rr::{RData, Record};

/// A well-formed response.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) bytes: Vec<u8>,
    pub(super) message: Message,
}

/// The options of an OPT record: code and value.
pub(super) type Options = Vec<(u16, Vec<u8>)>;

impl Answer {
    pub(super) fn of(bytes: Vec<u8>) -> Self {
        let message = Message::from_vec(&bytes).unwrap_or_else(|error| panic!("{error}: {bytes:02x?}"));
        assert_eq!(message.metadata.message_type, MessageType::Response);
        Self { bytes, message }
    }

    pub(super) fn id(&self) -> u16 {
        self.message.metadata.id
    }

    /// The response code, including the upper bits in the OPT record.
    pub(super) fn rcode(&self) -> &'static str {
        let high = self.message.edns.as_ref().map_or(0, |edns| u16::from(edns.rcode_high()));
        match u16::from(self.bytes[3] & 0xf) | high << 4 {
            0 => "NOERROR",
            1 => "FORMERR",
            2 => "SERVFAIL",
            3 => "NXDOMAIN",
            4 => "NOTIMP",
            5 => "REFUSED",
            16 => "BADVERS",
            other => panic!("unexpected response code {other}"),
        }
    }

    pub(super) fn is_truncated(&self) -> bool {
        self.message.metadata.truncation
    }

    /// A short text form without the question: the code, the flags, then the records of the `=` answer, `^` authority and `+`
    /// additional section. `@` is example.com, and SOA records are shown without their data.
    pub(super) fn text(&self) -> String {
        let metadata = &self.message.metadata;
        assert!(!metadata.recursion_available && !metadata.authentic_data, "RA and AD are never set");
        let mut text = self.rcode().to_owned();
        for (flag, name) in [(metadata.authoritative, " aa"), (metadata.truncation, " tc")] {
            if flag {
                text.push_str(name);
            }
        }
        let sections = [("=", &self.message.answers), ("^", &self.message.authorities)];
        for (mark, records) in sections.into_iter().chain([("+", &self.message.additionals)]) {
            for record in records {
                write!(text, " {mark} {}", show(record)).unwrap();
            }
        }
        text
    }

    /// The addresses in the answer section, in their order.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        let address = |record: &Record| match &record.data {
            RData::A(address) => Some(IpAddr::V4(address.0)),
            RData::AAAA(address) => Some(IpAddr::V6(address.0)),
            _ => None,
        };
        self.message.answers.iter().filter_map(address).collect()
    }

    /// The TTL of the records in the answer section, which must all have the same.
    pub(super) fn ttl(&self) -> Option<u32> {
        let ttls: Vec<u32> = self.message.answers.iter().map(|record| record.ttl).collect();
        assert!(ttls.windows(2).all(|pair| pair[0] == pair[1]), "{ttls:?}");
        ttls.first().copied()
    }

    /// The OPT record: UDP payload size, flags, and options.
    pub(super) fn opt(&self) -> Option<(u16, u16, Options)> {
        self.message.edns.as_ref()?;
        // It is the last record, and these bytes occur nowhere after its start.
        let at = self.bytes.windows(3).rposition(|bytes| bytes == [0, 0, 41]).unwrap();
        let number = |at: usize| u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        let (size, flags, mut at) = (number(at + 3), number(at + 7), at + 11);
        assert_eq!(usize::from(number(at - 2)), self.bytes.len() - at);
        let mut options = Vec::new();
        while at < self.bytes.len() {
            let end = at + 4 + usize::from(number(at + 2));
            options.push((number(at), self.bytes[at + 4..end].to_vec()));
            at = end;
        }
        Some((size, flags, options))
    }

    /// The bytes of one of its options.
    pub(super) fn option(&self, code: u16) -> Option<Vec<u8>> {
        self.opt()?.2.into_iter().find(|(known, _)| *known == code).map(|(_, value)| value)
    }

    /// The scope of its client subnet option.
    pub(super) fn scope(&self) -> Option<u8> {
        self.option(super::query::CLIENT_SUBNET).map(|value| value[3])
    }
}

fn show(record: &Record) -> String {
    // In lowercase: the name may be a compression pointer to the question, which may be in another case.
    let (name, text) = (record.name.to_lowercase().to_string(), record.to_string().replacen(" IN ", " ", 1));
    let text = text.replacen(&record.name.to_string(), &name, 1);
    let text = if matches!(record.data, RData::SOA(_)) { text.split_inclusive("SOA").next().unwrap() } else { &text };
    text.replace("example.com.", "@").replace(".@", "")
}
