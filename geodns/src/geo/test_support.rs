//! Databases for tests.

use ipnet::IpNet;
use verge_mmdb::{Family, Layout, Options, RecordSize, Spot, Value, Writer};
use verge_protocol::GeoPoint;

/// A record as `MaxMind` has them.
pub(crate) fn city(place: GeoPoint) -> Value {
    Layout::MaxMind.record(&Spot { place: Some(place), ..Spot::default() })
}

/// The bytes of a database of the type `Test-City`, of nodes of 8 bytes, with the IPv4 networks once more in `2002::/16`.
pub(crate) fn database(family: Family, networks: &[(IpNet, Value)]) -> Vec<u8> {
    let (database_type, build_epoch) = ("Test-City".to_owned(), 1_700_000_000);
    let record_size = RecordSize::Bits32;
    let mut writer = Writer::new(Options { family, record_size, database_type, build_epoch, ..Options::default() });
    for (network, value) in networks {
        writer.insert_value(*network, value.clone()).unwrap();
    }
    writer.to_bytes().unwrap()
}
