//! Record types, record sets, and the fields of record data that look-ups need.

use std::fmt;

use super::name;

/// A record type (RFC 1035 §3.2.2, and the IANA registry).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordType(pub(crate) u16);

macro_rules! types {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl RecordType {
            $(pub(crate) const $name: Self = Self($number);)*

            /// The types that have a mnemonic here.
            pub(crate) const NAMED: &'static [(Self, &'static str)] = &[$((Self::$name, stringify!($name))),*];
        }
    };
}

types! {
    A = 1, NS = 2, CNAME = 5, SOA = 6, PTR = 12, HINFO = 13, MX = 15, TXT = 16, AAAA = 28, LOC = 29, SRV = 33, NAPTR = 35,
    CERT = 37, DNAME = 39, OPT = 41, DS = 43, SSHFP = 44, RRSIG = 46, NSEC = 47, DNSKEY = 48, NSEC3 = 50, NSEC3PARAM = 51,
    TLSA = 52, SMIMEA = 53, CDS = 59, CDNSKEY = 60, OPENPGPKEY = 61, CSYNC = 62, SVCB = 64, HTTPS = 65, SPF = 99, TSIG = 250,
    IXFR = 251, AXFR = 252, MAILB = 253, MAILA = 254, ANY = 255, URI = 256, CAA = 257,
}

impl RecordType {
    /// Whether it is only used in queries or messages, and is never part of a zone (RFC 6895 §3.1).
    pub(crate) fn is_meta(self) -> bool {
        self == Self::OPT || (128..=255).contains(&self.0)
    }

    /// Parses a mnemonic or `TYPE65280` (RFC 3597 §5), in any case.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some((known, _)) = Self::NAMED.iter().find(|(_, name)| name.eq_ignore_ascii_case(text)) {
            return Some(*known);
        }
        let (kind, number) = text.split_at_checked(4)?;
        let digits = kind.eq_ignore_ascii_case("TYPE") && number.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| number.parse().ok().map(Self)).flatten()
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match Self::NAMED.iter().find(|(known, _)| known == self) {
            Some((_, name)) => formatter.write_str(name),
            None => write!(formatter, "TYPE{}", self.0),
        }
    }
}

impl fmt::Debug for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// All records of one type at a name (RFC 2181 §5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RecordSet {
    /// Their type.
    pub(crate) record_type: RecordType,
    /// How long resolvers may cache them, in seconds; the same for all (RFC 2181 §5.2).
    pub(crate) ttl: u32,
    /// The data of each record in wire format, names in it uncompressed. At least one; no two are equal.
    pub(crate) data: Vec<Box<[u8]>>,
}

/// The name that record data refers to, in wire form, for the types whose targets are looked up. `data` is of that type.
pub(crate) fn target(record_type: RecordType, data: &[u8]) -> Option<&[u8]> {
    let start = match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        RecordType::SVCB | RecordType::HTTPS => {
            let target = data.get(2..)?;
            let after = name::ancestors(target).last()?.len() - 1;
            return target.get(..target.len() - after);
        }
        _ => return None,
    };
    data.get(start..)
}

/// The MINIMUM field of SOA data: a limit to how long negative answers may be cached, in seconds (RFC 2308 §4).
pub(crate) fn soa_minimum(data: &[u8]) -> u32 {
    data.last_chunk().map_or(0, |minimum| u32::from_be_bytes(*minimum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_type_is_parsed_and_displayed_as_mnemonic_or_number() {
        for (text, number) in [("A", 1), ("aaaa", 28), ("TYPE257", 257), ("CAA", 257), ("type65280", 65280)] {
            assert_eq!(RecordType::parse(text), Some(RecordType(number)), "{text}");
        }
        assert_eq!(RecordType(257).to_string(), "CAA");
        assert_eq!(RecordType(65280).to_string(), "TYPE65280");
        for bad in ["", "TYPE", "TYPE65536", "TYPE+1", "MOON"] {
            assert_eq!(RecordType::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn target_of_each_type_is_found_in_its_data() {
        for (record_type, data, expected) in [
            (RecordType::NS, &b"\x02ns\0"[..], Some(&b"\x02ns\0"[..])),
            (RecordType::MX, b"\0\x01\x04mail\0", Some(b"\x04mail\0")),
            (RecordType::SRV, b"\0\x01\0\x02\0\x03\x03sip\0", Some(b"\x03sip\0")),
            (RecordType::HTTPS, b"\0\x01\0\0\x03\0\x02\0\x01", Some(b"\0")),
            (RecordType::SVCB, b"\0\0\x03svc\0", Some(b"\x03svc\0")),
            (RecordType::TXT, b"\x04text", None),
        ] {
            assert_eq!(target(record_type, data), expected, "{record_type}");
        }
        assert_eq!(soa_minimum(b"\x01a\0\x01b\0\0\0\0\x01\0\0\0\x02\0\0\0\x03\0\0\0\x04\0\0\x01\x2c"), 300);
    }
}
