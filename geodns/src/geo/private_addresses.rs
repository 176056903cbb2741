//! Addresses that have no location.

use std::net::{IpAddr, Ipv4Addr};

/// Whether an address has no location because it is not globally routed: RFC 1918,
/// loopback, link-local, unique local (RFC 4193), carrier-grade NAT (RFC 6598), unspecified and multicast. Addresses for
/// documentation are not private: examples and tests use them.
pub(crate) fn is_private(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => {
            v4.is_private()
                || v4.is_loopback()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_multicast()
                || is_shared(v4)
        }
        IpAddr::V6(v6) => {
            v6.is_unique_local()
                || v6.is_loopback()
                || v6.is_unicast_link_local()
                || v6.is_unspecified()
                || v6.is_multicast()
        }
    }
}

/// 100.64.0.0/10 (RFC 6598).
fn is_shared(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    first == 100 && second & 0xc0 == 64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_unrouted_addresses_are_private() {
        for private in [
            "10.0.0.1",
            "172.31.255.255",
            "192.168.0.0",
            "127.0.0.2",
            "169.254.1.1",
            "100.64.0.0",
            "100.127.255.255",
            "0.0.0.0",
            "224.0.0.1",
            "::",
            "::1",
            "fe80::1",
            "febf::1",
            "fc00::",
            "fdff::1",
            "ff02::1",
            "::ffff:10.0.0.1",
        ] {
            assert!(is_private(private.parse().unwrap()), "{private}");
        }
        for public in [
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "2001:db8::1",
            "100.63.255.255",
            "100.128.0.0",
            "172.32.0.0",
            "9.255.255.255",
            "fec0::1",
            "::ffff:192.0.2.1",
        ] {
            assert!(!is_private(public.parse().unwrap()), "{public}");
        }
    }
}
