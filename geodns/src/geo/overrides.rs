//! Locations of networks set by the operator, which take precedence over the database.

use ipnet::IpNet;
use verge_protocol::GeoPoint;

use super::geo_vector::GeoVector;
use super::prefix::{Family, Prefix};

/// Prefixes with a location each. The longest match applies.
#[derive(Debug, Default)]
pub(crate) struct LocationOverrides {
    entries: Vec<(Prefix, GeoVector)>,
    families: [Intervals; 2],
}

/// The address space of a family, split wherever an override begins or ends: the first bits of each interval, in order, and the most
/// specific override that applies to it.
#[derive(Debug)]
struct Intervals(Vec<(u64, Option<usize>)>);

/// The addresses around a client to which the same override applies, or none.
pub(super) struct Interval {
    /// The override.
    pub(super) matched: Option<(Prefix, GeoVector)>,
    /// Its first bits.
    pub(super) first: u64,
    /// Its last bits.
    pub(super) last: u64,
}

/// Why overrides are rejected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// The prefix is longer than those by which clients are distinguished.
    #[error("the prefix {0} is too long: expected at most /24 (IPv4) or /48 (IPv6)")]
    TooLong(IpNet),
    /// The prefix has host bits.
    #[error("the prefix {0} has host bits: write {network}", network = .0.trunc())]
    HostBits(IpNet),
    /// The prefix is listed twice.
    #[error("the prefix {0} is listed twice")]
    Duplicate(IpNet),
}

impl LocationOverrides {
    /// Builds overrides from prefixes in any order. Each applies to the family that it is written in: `::/0` does not cover IPv4.
    pub(crate) fn new(prefixes: impl IntoIterator<Item = (IpNet, GeoPoint)>) -> Result<Self, OverrideError> {
        let mut entries = Vec::new();
        for (prefix, location) in prefixes {
            if prefix.trunc() != prefix {
                return Err(OverrideError::HostBits(prefix));
            }
            entries.push((convert(prefix).ok_or(OverrideError::TooLong(prefix))?, GeoVector::from(location)));
        }
        // A prefix comes directly before those within it.
        entries.sort_by_key(|(prefix, _)| (prefix.family(), prefix.bits(), prefix.length()));
        if let Some([(twice, _), _]) = entries.array_windows().find(|[(one, _), (next, _)]| one == next) {
            return Err(OverrideError::Duplicate((*twice).into()));
        }
        let families = Family::BOTH.map(|family| Intervals::new(&entries, family));
        Ok(Self { entries, families })
    }

    /// The number of overrides.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The interval that a client is in.
    pub(super) fn find(&self, client: Prefix) -> Interval {
        let Intervals(intervals) = &self.families[client.family() as usize];
        let next = intervals.partition_point(|(first, _)| *first <= client.bits());
        let (first, matched) = intervals[next - 1];
        let last = intervals.get(next).map_or(u64::MAX, |(next, _)| next - 1);
        Interval { matched: matched.map(|index| self.entries[index]), first, last }
    }
}

/// `None` if it is longer than [`Family::max_length`].
fn convert(prefix: IpNet) -> Option<Prefix> {
    // Not converted by `Prefix::of`: an IPv4-mapped address may begin a short IPv6 prefix.
    let (family, bits) = match prefix {
        IpNet::V4(prefix) => (Family::V4, u64::from(prefix.addr().to_bits()) << 32),
        IpNet::V6(prefix) => (Family::V6, u64::try_from(prefix.addr().to_bits() >> 64).expect("64 bits are left")),
    };
    (prefix.prefix_len() <= family.max_length()).then(|| Prefix::new(family, bits, prefix.prefix_len()))
}

impl Intervals {
    /// Splits the space of a family. `entries` are sorted, each before those within it.
    fn new(entries: &[(Prefix, GeoVector)], family: Family) -> Self {
        let mut intervals = Self::default();
        let mut open: Vec<usize> = Vec::new();
        for (index, (prefix, _)) in entries.iter().enumerate().filter(|(_, (prefix, _))| prefix.family() == family) {
            intervals.close(entries, &mut open, |outer| outer.contains(prefix.bits()));
            intervals.start(prefix.bits(), Some(index));
            open.push(index);
        }
        intervals.close(entries, &mut open, |_| false);
        intervals
    }

    /// Closes the innermost open prefixes up to the first that continues. After a closed prefix, the one around it applies.
    fn close(&mut self, entries: &[(Prefix, GeoVector)], open: &mut Vec<usize>, continues: impl Fn(Prefix) -> bool) {
        while let Some(closed) = open.pop_if(|index| !continues(entries[*index].0)) {
            if let Some(after) = entries[closed].0.last().checked_add(1) {
                self.start(after, open.last().copied());
            }
        }
    }

    fn start(&mut self, first: u64, applies: Option<usize>) {
        self.0.pop_if(|(start, _)| *start == first);
        self.0.push((first, applies));
    }
}

impl Default for Intervals {
    /// One interval without an override. There is always one that starts at zero.
    fn default() -> Self {
        Self(vec![(0, None)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(prefixes: &[&str]) -> Result<LocationOverrides, OverrideError> {
        LocationOverrides::new(prefixes.iter().map(|prefix| (prefix.parse().unwrap(), "1,2".parse().unwrap())))
    }

    #[test]
    fn longest_matching_override_applies() {
        let overrides =
            overrides(&["10.1.0.0/16", "10.0.0.0/8", "10.1.255.0/24", "255.0.0.0/8", "0.0.0.0/0", "::/0"]).unwrap();
        assert_eq!(overrides.len(), 6);
        for (address, prefix) in [
            ("10.2.0.1", "10.0.0.0/8"),
            ("10.1.0.1", "10.1.0.0/16"),
            ("10.1.255.255", "10.1.255.0/24"),
            ("11.0.0.0", "0.0.0.0/0"),
            ("255.255.255.255", "255.0.0.0/8"),
            ("::ffff:11.0.0.0", "0.0.0.0/0"),
            ("2001:db8::", "::/0"),
        ] {
            let (matched, _) = overrides.find(Prefix::of(address.parse().unwrap())).matched.unwrap();
            assert_eq!(IpNet::from(matched).to_string(), prefix, "{address}");
        }
    }

    #[test]
    fn invalid_override_is_rejected_with_its_prefix() {
        let error = |prefixes: &[&str]| overrides(prefixes).unwrap_err().to_string();
        insta::assert_snapshot!(
            [
                error(&["192.0.2.0/25"]),
                error(&["2001:db8::/49"]),
                error(&["::ffff:192.0.2.0/120"]),
                error(&["192.0.2.1/16"]),
                error(&["10.0.0.0/8", "192.0.2.0/24", "10.0.0.0/8"]),
            ]
            .join("\n"),
            @r"
        the prefix 192.0.2.0/25 is too long: expected at most /24 (IPv4) or /48 (IPv6)
        the prefix 2001:db8::/49 is too long: expected at most /24 (IPv4) or /48 (IPv6)
        the prefix ::ffff:192.0.2.0/120 is too long: expected at most /24 (IPv4) or /48 (IPv6)
        the prefix 192.0.2.1/16 has host bits: write 192.0.0.0/16
        the prefix 10.0.0.0/8 is listed twice
        "
        );
    }
}
