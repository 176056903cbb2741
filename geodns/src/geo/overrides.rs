//! What the operator knows better than any database.

use ipnet::IpNet;
use verge_protocol::GeoPoint;

use super::block::{Block, Family};
use super::point::Point;

/// Prefixes with a place each; the longest that matches counts.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    entries: Vec<(Block, Point)>,
    families: [Runs; 2],
}

/// All bits of a family, cut wherever an override begins or ends: the first bits of each run, in order, and the most specific
/// override that holds from there to the next.
#[derive(Debug)]
struct Runs(Vec<(u64, Option<usize>)>);

/// The neighbourhood of a client in which the same override holds, or none.
pub(super) struct Run {
    /// The override.
    pub(super) matched: Option<(Block, Point)>,
    /// The first bits of it.
    pub(super) first: u64,
    /// The last ones.
    pub(super) last: u64,
}

/// Why prefixes cannot be overrides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// More specific than clients are told apart.
    #[error("the prefix {0} is too long: readers are told apart by /24 (IPv4) and /48 (IPv6) at most")]
    Long(IpNet),
    /// An address where its network was expected.
    #[error("the prefix {0} has bits after its length: write {network}", network = .0.trunc())]
    HostBits(IpNet),
    /// Two places for one network.
    #[error("the prefix {0} has two places")]
    Twice(IpNet),
}

impl Overrides {
    /// Takes prefixes in any order. They hold for the family they are written in: `::/0` says nothing of IPv4.
    pub(crate) fn new(prefixes: impl IntoIterator<Item = (IpNet, GeoPoint)>) -> Result<Self, OverrideError> {
        let mut entries = Vec::new();
        for (prefix, place) in prefixes {
            if prefix.trunc() != prefix {
                return Err(OverrideError::HostBits(prefix));
            }
            entries.push((block(prefix).ok_or(OverrideError::Long(prefix))?, Point::from(place)));
        }
        // A prefix comes right before what lies in it.
        entries.sort_by_key(|(block, _)| (block.family(), block.bits(), block.length()));
        if let Some([(twice, _), _]) = entries.array_windows().find(|[(one, _), (next, _)]| one == next) {
            return Err(OverrideError::Twice((*twice).into()));
        }
        let families = Family::BOTH.map(|family| Runs::new(&entries, family));
        Ok(Self { entries, families })
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The run that a client is in.
    pub(super) fn find(&self, client: Block) -> Run {
        let Runs(runs) = &self.families[client.family() as usize];
        let next = runs.partition_point(|(first, _)| *first <= client.bits());
        let (first, matched) = runs[next - 1];
        let last = runs.get(next).map_or(u64::MAX, |(next, _)| next - 1);
        Run { matched: matched.map(|index| self.entries[index]), first, last }
    }
}

/// `None` if it is longer than a block may be.
fn block(prefix: IpNet) -> Option<Block> {
    // As written, not as `Block::of` takes it: an IPv4-mapped address may begin a short IPv6 prefix.
    let (family, bits) = match prefix {
        IpNet::V4(prefix) => (Family::V4, u64::from(prefix.addr().to_bits()) << 32),
        IpNet::V6(prefix) => (Family::V6, u64::try_from(prefix.addr().to_bits() >> 64).expect("64 bits are left")),
    };
    (prefix.prefix_len() <= family.longest()).then(|| Block::new(family, bits, prefix.prefix_len()))
}

impl Runs {
    /// Cuts a family. `entries` are in order, each before what lies in it.
    fn new(entries: &[(Block, Point)], family: Family) -> Self {
        let mut runs = Self::default();
        let mut open: Vec<usize> = Vec::new();
        for (index, (block, _)) in entries.iter().enumerate().filter(|(_, (block, _))| block.family() == family) {
            runs.close(entries, &mut open, |outer| outer.contains(block.bits()));
            runs.begin(block.bits(), Some(index));
            open.push(index);
        }
        runs.close(entries, &mut open, |_| false);
        runs
    }

    /// Ends the innermost open prefixes up to the first that goes on; what is around an ended one holds after it.
    fn close(&mut self, entries: &[(Block, Point)], open: &mut Vec<usize>, goes_on: impl Fn(Block) -> bool) {
        while let Some(ended) = open.pop_if(|index| !goes_on(entries[*index].0)) {
            if let Some(after) = entries[ended].0.last().checked_add(1) {
                self.begin(after, open.last().copied());
            }
        }
    }

    fn begin(&mut self, first: u64, holds: Option<usize>) {
        self.0.pop_if(|(begun, _)| *begun == first);
        self.0.push((first, holds));
    }
}

impl Default for Runs {
    /// One run, of no override. There is always one that begins with zeros.
    fn default() -> Self {
        Self(vec![(0, None)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn overrides(prefixes: &[&str]) -> Result<Overrides, OverrideError> {
        Overrides::new(prefixes.iter().map(|prefix| (prefix.parse().unwrap(), "1,2".parse().unwrap())))
    }

    #[test]
    fn the_longest_wins() {
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
            let (matched, _) = overrides.find(Block::of(address.parse().unwrap())).matched.unwrap();
            assert_eq!(IpNet::from(matched).to_string(), prefix, "{address}");
        }
    }

    #[test]
    fn what_cannot_be_an_override() {
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
        the prefix 192.0.2.0/25 is too long: readers are told apart by /24 (IPv4) and /48 (IPv6) at most
        the prefix 2001:db8::/49 is too long: readers are told apart by /24 (IPv4) and /48 (IPv6) at most
        the prefix ::ffff:192.0.2.0/120 is too long: readers are told apart by /24 (IPv4) and /48 (IPv6) at most
        the prefix 192.0.2.1/16 has bits after its length: write 192.0.0.0/16
        the prefix 10.0.0.0/8 has two places
        "
        );
    }
}
