//! The OPT record of a query (RFC 6891) and its supported options.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::{FormatError, Reader};
use crate::dns::message::{OPTION_CLIENT_SUBNET, OPTION_NSID};

/// The content of an OPT record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The longest UDP response that the requestor accepts, in bytes; at least 512.
    pub(crate) udp_size: u16,
    /// DO, which the response repeats (RFC 3225 §3).
    pub(crate) dnssec_ok: bool,
    /// Whether the identifier of this name server is requested (RFC 5001).
    pub(crate) nsid: bool,
    /// The network of the client (RFC 7871).
    pub(crate) subnet: Option<ClientSubnet>,
}

/// A client subnet option, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ClientSubnet {
    /// 1 for IPv4, 2 for IPv6; 0 for none, which is only allowed with a source of 0.
    pub(crate) family: u16,
    /// SOURCE PREFIX-LENGTH, in bits.
    pub(crate) source: u8,
    /// The address, zero beyond those bits.
    octets: [u8; 16],
}

/// Why a query with an OPT record is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EdnsError {
    /// The version is not 0.
    Version,
    /// `edns`: whether an OPT record was found.
    Malformed { edns: bool },
}

impl From<FormatError> for EdnsError {
    fn from(FormatError: FormatError) -> Self {
        Self::Malformed { edns: true }
    }
}

impl Edns {
    pub(super) fn read(class: u16, ttl: u32, options: &[u8]) -> Result<Self, EdnsError> {
        if ttl >> 16 & 0xff != 0 {
            return Err(EdnsError::Version);
        }
        let mut edns = Self { udp_size: class.max(512), dnssec_ok: ttl & 0x8000 != 0, nsid: false, subnet: None };
        let mut reader = Reader::new(options);
        while !reader.is_at_end() {
            let (code, length) = (reader.u16()?, reader.u16()?);
            let value = reader.take(length.into())?;
            match code {
                OPTION_NSID => edns.nsid = true,
                // It would be unclear which of two the response is for.
                OPTION_CLIENT_SUBNET if edns.subnet.is_some() => return Err(FormatError.into()),
                OPTION_CLIENT_SUBNET => edns.subnet = Some(ClientSubnet::read(value)?),
                // Unknown options are ignored, and are not in the response (RFC 6891 §6.1.2).
                _ => {}
            }
        }
        Ok(edns)
    }
}

impl ClientSubnet {
    fn read(value: &[u8]) -> Result<Self, FormatError> {
        let mut reader = Reader::new(value);
        let (family, source, scope) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let bits = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(FormatError),
        };
        let address = reader.take(usize::from(source.div_ceil(8)).min(16))?;
        if source > bits || scope != 0 || !reader.is_at_end() {
            return Err(FormatError);
        }
        let has_stray_bits = match (address.last(), source % 8) {
            (Some(last), used @ 1..) => last << used != 0,
            _ => false,
        };
        if has_stray_bits {
            return Err(FormatError);
        }
        let mut octets = [0; 16];
        octets[..address.len()].copy_from_slice(address);
        Ok(Self { family, source, octets })
    }

    /// The address, zero beyond the prefix; `None` if the prefix is empty: the client does not want to be located (§7.1.2).
    pub(crate) fn address(&self) -> Option<IpAddr> {
        match (self.family, self.source) {
            (_, 0) => None,
            (1, _) => {
                let [a, b, c, d, ..] = self.octets;
                Some(Ipv4Addr::new(a, b, c, d).into())
            }
            _ => Some(Ipv6Addr::from(self.octets).into()),
        }
    }

    /// The octets of the prefix.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.source.div_ceil(8))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(value: &[u8]) -> Result<Option<IpAddr>, FormatError> {
        ClientSubnet::read(value).map(|subnet| subnet.address())
    }

    #[test]
    fn client_subnet_is_parsed_strictly() {
        assert_eq!(subnet(b"\0\x01\x18\0\xc0\0\x02"), Ok(Some("192.0.2.0".parse().unwrap())));
        assert_eq!(subnet(b"\0\x02\x30\0\x20\x01\x0d\xb8\0\x01"), Ok(Some("2001:db8:1::".parse().unwrap())));
        assert_eq!(subnet(b"\0\x01\x15\0\xc0\0\x08"), Ok(Some("192.0.8.0".parse().unwrap())));
        assert_eq!(subnet(b"\0\x01\0\0"), Ok(None));
        assert_eq!(subnet(b"\0\x02\0\0"), Ok(None));
        assert_eq!(subnet(b"\0\0\0\0"), Ok(None));
        for bad in [
            &b"\0\x03\x18\0\xc0\0\x02"[..],  // unknown family
            b"\0\0\x18\0\xc0\0\x02",         // no family, but an address
            b"\0\x01\x18\0\xc0\0",           // too few octets
            b"\0\x01\x18\0\xc0\0\x02\x01",   // too many
            b"\0\x01\x15\0\xc0\0\x09",       // a bit beyond the prefix
            b"\0\x01\x18\x18\xc0\0\x02",     // a scope in a query
            b"\0\x01\x21\0\xc0\0\x02\x01\0", // longer than the family's addresses
            b"\0\x02\x81\0",
            b"\0\x01",
        ] {
            assert_eq!(subnet(bad), Err(FormatError), "{bad:?}");
        }
    }

    #[test]
    fn unknown_options_are_ignored() {
        let edns = Edns::read(100, 0x8000, b"\0\x0a\0\x08abcdefgh\0\x03\0\0").unwrap();
        assert_eq!(edns, Edns { udp_size: 512, dnssec_ok: true, nsid: true, subnet: None });
        for bad in [&b"\0"[..], b"\0\x0a\0\x08abc", b"\0\x08\0\x04\0\x01\0\0\0\x08\0\x04\0\x01\0\0"] {
            assert_eq!(Edns::read(1232, 0, bad), Err(EdnsError::Malformed { edns: true }), "{bad:?}");
        }
    }
}
