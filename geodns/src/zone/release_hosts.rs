//! Hosts of releases, `<16 hex digits>--<site>`: they have names by their shape, without an entry for each.
//!
//! All releases of a site share one entry, at the name whose digits are all zero. It stands for them as a wildcard does for the names that
//! are synthesized from it (RFC 4592).

use verge_protocol::SiteName;
use verge_protocol::host::ReleaseLabel;

use crate::dns::name::Name;

/// Hex digits before `--`.
const DIGITS: usize = 16;

/// The label that stands for all releases of a site.
pub(crate) fn standing_label(site: &SiteName) -> String {
    ReleaseLabel { site: site.clone(), prefix: 0 }.to_string()
}

/// Whether the first label of a name, in canonical wire form, has the shape of a release's host.
pub(super) fn is_release_host(name: &[u8]) -> bool {
    let label = name.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length)));
    let parts = label.and_then(|label| label.split_at_checked(DIGITS));
    let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    parts.is_some_and(|(digits, site)| digits.iter().all(is_hex) && site.starts_with(b"--"))
}

/// The name that stands for a [release's host](is_release_host), written into `buffer`. Does not allocate.
pub(super) fn standing_name<'b>(name: &[u8], buffer: &'b mut [u8; Name::MAX]) -> &'b [u8] {
    let standing = &mut buffer[..name.len()];
    standing.copy_from_slice(name);
    standing[1..=DIGITS].fill(b'0');
    standing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(text: &str) -> Option<String> {
        let (name, mut buffer) = (Name::parse(text).unwrap(), [0; Name::MAX]);
        let standing = || Name::from_canonical(standing_name(name.wire(), &mut buffer)).to_string();
        is_release_host(name.wire()).then(standing)
    }

    #[test]
    fn release_host_is_recognized_by_its_shape() {
        let label = standing_label(&"demo".parse().unwrap());
        for name in ["0123456789abcdef--demo.example.com", "ABCDEF0123456789--demo.example.com"] {
            assert_eq!(standing(name), Some(format!("{label}.example.com.")), "{name}");
        }
        for other in [
            "demo.example.com",
            ".",
            "pr-12--demo.example.com",
            "0123456789abcde--demo.example.com",
            "0123456789abcdeg--demo.example.com",
            "0123456789abcdef-demo.example.com",
            "0123456789abcdef.--demo.example.com",
            "x.0123456789abcdef--demo.example.com",
        ] {
            assert_eq!(standing(other), None, "{other}");
        }
    }
}
