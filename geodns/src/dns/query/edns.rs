//! The OPT record of a query (RFC 6891) and the options that are understood here.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::reader::{Cut, Reader};

/// What an OPT record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Edns {
    /// The most bytes that who asks takes over UDP; never below 512.
    pub(crate) udp_size: u16,
    /// Echoed (RFC 3225 §3).
    pub(crate) dnssec_ok: bool,
    /// The name of this node is asked for (RFC 5001).
    pub(crate) node_id: bool,
    /// Where the client is (RFC 7871).
    pub(crate) subnet: Option<Subnet>,
}

/// A client subnet, as it was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    /// 1 for IPv4, 2 for IPv6; 0 for none, which only a source of 0 may have.
    pub(crate) family: u16,
    /// The bits of the address that were sent.
    pub(crate) source: u8,
    /// The address, zero beyond those bits.
    octets: [u8; 16],
}

/// Why the OPT record cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum EdnsError {
    /// A version from the future.
    Version,
    /// It is not as the RFCs say; whether an OPT record was seen.
    Malformed { edns: bool },
}

impl From<Cut> for EdnsError {
    fn from(Cut: Cut) -> Self {
        Self::Malformed { edns: true }
    }
}

const NODE_ID: u16 = 3;
const CLIENT_SUBNET: u16 = 8;

impl Edns {
    pub(super) fn read(class: u16, ttl: u32, options: &[u8]) -> Result<Self, EdnsError> {
        if ttl >> 16 & 0xff != 0 {
            return Err(EdnsError::Version);
        }
        let mut edns = Self { udp_size: class.max(512), dnssec_ok: ttl & 0x8000 != 0, node_id: false, subnet: None };
        let mut reader = Reader::new(options);
        while !reader.is_at_end() {
            let (code, length) = (reader.u16()?, reader.u16()?);
            let value = reader.take(length.into())?;
            match code {
                NODE_ID => edns.node_id = true,
                // Two would leave open whose answer this is.
                CLIENT_SUBNET if edns.subnet.is_some() => return Err(Cut.into()),
                CLIENT_SUBNET => edns.subnet = Some(Subnet::read(value)?),
                // What is not known is passed over, and not sent back (RFC 6891 §6.1.2).
                _ => {}
            }
        }
        Ok(edns)
    }
}

impl Subnet {
    fn read(value: &[u8]) -> Result<Self, Cut> {
        let mut reader = Reader::new(value);
        let (family, source, scope) = (reader.u16()?, reader.u8()?, reader.u8()?);
        let bits = match family {
            0 => 0,
            1 => 32,
            2 => 128,
            _ => return Err(Cut),
        };
        let address = reader.take(usize::from(source.div_ceil(8)).min(16))?;
        if source > bits || scope != 0 || !reader.is_at_end() {
            return Err(Cut);
        }
        let stray = match (address.last(), source % 8) {
            (Some(last), used @ 1..) => last << used != 0,
            _ => false,
        };
        if stray {
            return Err(Cut);
        }
        let mut octets = [0; 16];
        octets[..address.len()].copy_from_slice(address);
        Ok(Self { family, source, octets })
    }

    /// The address, zero beyond the source bits; `None` when none was told: the client wants to stay unknown (§7.1.2).
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

    /// The octets that were sent: as few as the source bits need.
    pub(crate) fn octets(&self) -> &[u8] {
        &self.octets[..usize::from(self.source.div_ceil(8))]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subnet(value: &[u8]) -> Result<Option<IpAddr>, Cut> {
        Subnet::read(value).map(|subnet| subnet.address())
    }

    #[test]
    fn subnets_to_the_letter() {
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
            assert_eq!(subnet(bad), Err(Cut), "{bad:?}");
        }
    }

    #[test]
    fn options_that_are_not_known_are_passed_over() {
        let edns = Edns::read(100, 0x8000, b"\0\x0a\0\x08abcdefgh\0\x03\0\0").unwrap();
        assert_eq!(edns, Edns { udp_size: 512, dnssec_ok: true, node_id: true, subnet: None });
        for bad in [&b"\0"[..], b"\0\x0a\0\x08abc", b"\0\x08\0\x04\0\x01\0\0\0\x08\0\x04\0\x01\0\0"] {
            assert_eq!(Edns::read(1232, 0, bad), Err(EdnsError::Malformed { edns: true }), "{bad:?}");
        }
    }
}
