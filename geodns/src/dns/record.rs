//! Record types and sets of records.

use std::fmt;

/// A type of records (RFC 1035 §3.2.2 and the registry since).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordType(pub(crate) u16);

macro_rules! types {
    ($($name:ident = $number:literal),* $(,)?) => {
        impl RecordType {
            $(pub(crate) const $name: Self = Self($number);)*

            /// Those that have a name here.
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
    /// Whether it can only be asked for, or only stands in messages: never part of a zone (RFC 6895 §3.1).
    pub(crate) fn is_meta(self) -> bool {
        self == Self::OPT || (128..=255).contains(&self.0)
    }

    /// Reads a mnemonic or `TYPE65280` (RFC 3597 §5), in any case.
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
    /// How long resolvers may keep them, in seconds; one for all (RFC 2181 §5.2).
    pub(crate) ttl: u32,
    /// The data of each as it goes on the wire, names in it uncompressed. At least one; no two alike.
    pub(crate) data: Vec<Box<[u8]>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_have_names_and_numbers() {
        for (text, number) in [("A", 1), ("aaaa", 28), ("TYPE257", 257), ("CAA", 257), ("type65280", 65280)] {
            assert_eq!(RecordType::parse(text), Some(RecordType(number)), "{text}");
        }
        assert_eq!(RecordType(257).to_string(), "CAA");
        assert_eq!(RecordType(65280).to_string(), "TYPE65280");
        for bad in ["", "TYPE", "TYPE65536", "TYPE+1", "MOON"] {
            assert_eq!(RecordType::parse(bad), None, "{bad}");
        }
    }
}
