//! Import of an MMDB file: its networks and records, decoded once.

use std::collections::HashMap;

use maxminddb::{MaxMindDbError, Reader};
use verge_protocol::GeoPoint;

use super::geo_vector::GeoVector;
use super::prefix::{Family, Prefix};
use super::prefix_table::PrefixTable;
use super::record::Record;

/// Where writers link the IPv4 part of the tree again: Teredo (RFC 4380) and 6to4 (RFC 3056), both out of use (RFC 7526), so that
/// no client is there. IPv4-mapped addresses, the third, are converted to IPv4 before the lookup.
const ALIASES: [(u64, u8); 2] = [(0x2001_0000_0000_0000, 32), (0x2002_0000_0000_0000, 16)];

/// The value of a network whose record has no location.
const NO_LOCATION: u32 = u32::MAX;

/// Why a tree cannot be imported.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ImportError {
    /// The tree or a record is malformed.
    #[error(transparent)]
    Malformed(#[from] MaxMindDbError),
    /// The tree has cycles or shared branches.
    #[error("the tree has cycles: it has more networks than its {nodes} nodes can hold")]
    Cycles {
        /// The number of nodes.
        nodes: u32,
    },
}

/// The records of a file. Networks share records, and records share locations: each is decoded and stored once.
#[derive(Default)]
pub(super) struct Records {
    by_offset: HashMap<usize, u32>,
    by_location: HashMap<[u64; 2], u32>,
    points: Vec<GeoVector>,
}

impl Records {
    /// The index of the location of the record at an offset of the file.
    fn at(&mut self, offset: usize, decode: impl FnOnce() -> Result<Record, ImportError>) -> Result<u32, ImportError> {
        if let Some(index) = self.by_offset.get(&offset) {
            return Ok(*index);
        }
        let index = decode()?.location().map_or(NO_LOCATION, |location| self.index_of(location));
        self.by_offset.insert(offset, index);
        Ok(index)
    }

    fn index_of(&mut self, location: GeoPoint) -> u32 {
        let bits = [location.latitude(), location.longitude()].map(f64::to_bits);
        *self.by_location.entry(bits).or_insert_with(|| {
            self.points.push(location.into());
            u32::try_from(self.points.len() - 1).expect("a file of 32-bit pointers has fewer records")
        })
    }

    /// The number of records.
    pub(super) fn len(&self) -> usize {
        self.by_offset.len()
    }

    /// The number of records that have a location.
    pub(super) fn located(&self) -> usize {
        self.by_offset.values().filter(|index| **index != NO_LOCATION).count()
    }

    /// The locations, by the values in the tables.
    pub(super) fn into_points(self) -> Vec<GeoVector> {
        self.points
    }
}

/// The alias that a network is a part of.
fn alias(network: Prefix) -> Option<Prefix> {
    let mut aliases = ALIASES.map(|(bits, length)| Prefix::new(Family::V6, bits, length)).into_iter();
    let inside = |alias: &Prefix| alias.contains(network.bits()) && network.length() > alias.length();
    aliases.find(|alias| network.family() == Family::V6 && inside(alias))
}

/// Collects the networks of a family by looking up the first address, then the address after its network, and so on. Branches
/// below a /24 or a /48 are never entered, so the walk ends however the branches of a tree are linked.
pub(super) fn networks(
    reader: &Reader<&[u8]>,
    family: Family,
    records: &mut Records,
) -> Result<PrefixTable, ImportError> {
    let mut table = PrefixTable::new(family);
    let metadata = reader.metadata();
    if family == Family::V6 && metadata.ip_version == 4 {
        return Ok(table.finish());
    }
    // n nodes have n + 1 leaves; more if a writer shares branches, for which the reader's own check leaves this room.
    let limit = u64::from(metadata.node_count).saturating_mul(3);
    let mut steps = 0;
    let mut next = Some(0);
    while let Some(bits) = next {
        steps += 1;
        if steps > limit.saturating_add(1) {
            return Err(ImportError::Cycles { nodes: metadata.node_count });
        }
        let found = reader.lookup(Prefix::new(family, bits, u8::MAX).address())?;
        let network = found.network()?;
        // An IPv6 tree may have a single leaf for all of IPv4.
        let length = if network.is_ipv6() == (family == Family::V6) { network.prefix() } else { 0 };
        let prefix = Prefix::new(family, bits, length);
        if let Some(alias) = alias(prefix) {
            next = alias.last().checked_add(1);
            continue;
        }
        if let Some(offset) = found.offset() {
            table.push(prefix, records.at(offset, || Ok(found.decode()?.unwrap_or_default()))?);
        }
        next = prefix.last().checked_add(1);
    }
    Ok(table.finish())
}
