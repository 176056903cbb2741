//! The networks and records of an MMDB file.

use std::collections::HashMap;

use maxminddb::Reader;
use verge_protocol::GeoPoint;

use super::DatabaseError;
use super::block::{Block, Family};
use super::point::Point;
use super::record::Record;
use super::table::Table;

/// Where writers hang in the IPv4 part of the tree again: Teredo (RFC 4380) and 6to4 (RFC 3056), both out of use (RFC 7526), so
/// that no reader is there. IPv4-mapped addresses, the third, are IPv4 before anybody looks.
const ALIASES: [(u64, u8); 2] = [(0x2001_0000_0000_0000, 32), (0x2002_0000_0000_0000, 16)];

/// What a network has whose record has no place.
const NO_POINT: u32 = u32::MAX;

/// Records are shared by networks, and places by records: each is decoded once and kept once.
#[derive(Default)]
pub(super) struct Records {
    by_offset: HashMap<usize, u32>,
    by_place: HashMap<[u64; 2], u32>,
    points: Vec<Point>,
}

impl Records {
    /// The index of the point of the record at an offset of the file.
    fn at(
        &mut self,
        offset: usize,
        decode: impl FnOnce() -> Result<Record, DatabaseError>,
    ) -> Result<u32, DatabaseError> {
        if let Some(point) = self.by_offset.get(&offset) {
            return Ok(*point);
        }
        let point = decode()?.place().map_or(NO_POINT, |place| self.point(place));
        self.by_offset.insert(offset, point);
        Ok(point)
    }

    fn point(&mut self, place: GeoPoint) -> u32 {
        let bits = [place.latitude(), place.longitude()].map(f64::to_bits);
        *self.by_place.entry(bits).or_insert_with(|| {
            self.points.push(place.into());
            u32::try_from(self.points.len() - 1).expect("a file of 32-bit pointers has fewer records")
        })
    }

    /// How many records there are.
    pub(super) fn len(&self) -> usize {
        self.by_offset.len()
    }

    /// How many of them have a place.
    pub(super) fn places(&self) -> usize {
        self.by_offset.values().filter(|point| **point != NO_POINT).count()
    }

    /// The places, by the indices in the tables.
    pub(super) fn into_points(self) -> Vec<Point> {
        self.points
    }
}

/// The alias that a network is a part of.
fn alias(network: Block) -> Option<Block> {
    let mut aliases = ALIASES.map(|(bits, length)| Block::new(Family::V6, bits, length)).into_iter();
    let inside = |alias: &Block| alias.contains(network.bits()) && network.length() > alias.length();
    aliases.find(|alias| network.family() == Family::V6 && inside(alias))
}

/// Collects the networks of a family by looking up the first address, then the one after its network, and so on: what lies
/// deeper than a /24 or a /48 is never entered, and however its branches are linked, a tree cannot hold the walk up.
pub(super) fn walk(reader: &Reader<&[u8]>, family: Family, records: &mut Records) -> Result<Table, DatabaseError> {
    let mut table = Table::new(family);
    let metadata = reader.metadata();
    if family == Family::V6 && metadata.ip_version == 4 {
        return Ok(table.finish());
    }
    // n nodes have n + 1 leaves; more if a writer lets branches be shared, for which the reader's own check leaves this room.
    let most = u64::from(metadata.node_count).saturating_mul(3);
    let mut steps = 0;
    let mut next = Some(0);
    while let Some(bits) = next {
        steps += 1;
        if steps > most.saturating_add(1) {
            return Err(DatabaseError::Tangled { nodes: metadata.node_count });
        }
        let found = reader.lookup(Block::new(family, bits, u8::MAX).address())?;
        let network = found.network()?;
        // An IPv6 tree may know, or not know, one thing of all IPv4.
        let length = if network.is_ipv6() == (family == Family::V6) { network.prefix() } else { 0 };
        let block = Block::new(family, bits, length);
        if let Some(alias) = alias(block) {
            next = alias.last().checked_add(1);
            continue;
        }
        if let Some(offset) = found.offset() {
            table.push(block, records.at(offset, || Ok(found.decode()?.unwrap_or_default()))?);
        }
        next = block.last().checked_add(1);
    }
    Ok(table.finish())
}
