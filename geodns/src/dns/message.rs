//! The parts of queries and responses that are the same.

/// The class IN.
pub(crate) const CLASS_IN: u16 = 1;

/// The EDNS option for the name server identifier, NSID (RFC 5001).
pub(crate) const OPTION_NSID: u16 = 3;

/// The EDNS option for the client subnet (RFC 7871).
pub(crate) const OPTION_CLIENT_SUBNET: u16 = 8;

/// The fields of a query's header that the response repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) id: u16,
    /// From 0 to 15.
    pub(crate) opcode: u8,
    /// RD. There is no recursion here.
    pub(crate) recursion_desired: bool,
}

/// A response code (RFC 1035 §4.1.1, RFC 6895 §2.3). Codes above 15 need an OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Rcode(pub(crate) u16);

impl Rcode {
    pub(crate) const NOERROR: Self = Self(0);
    pub(crate) const FORMERR: Self = Self(1);
    pub(crate) const SERVFAIL: Self = Self(2);
    pub(crate) const NXDOMAIN: Self = Self(3);
    pub(crate) const NOTIMP: Self = Self(4);
    pub(crate) const REFUSED: Self = Self(5);
    pub(crate) const BADVERS: Self = Self(16);

    /// The mnemonic of the IANA registry.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NOERROR => "NOERROR",
            Self::FORMERR => "FORMERR",
            Self::SERVFAIL => "SERVFAIL",
            Self::NXDOMAIN => "NXDOMAIN",
            Self::NOTIMP => "NOTIMP",
            Self::REFUSED => "REFUSED",
            Self::BADVERS => "BADVERS",
            Self(_) => "other",
        }
    }
}
