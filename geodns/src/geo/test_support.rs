//! Databases for tests.

use ipnet::IpNet;
use verge_mmdb::{IpVersion, Layout, NetworkInfo, Options, RecordSize, Value, Writer};
use verge_protocol::GeoPoint;

/// A record in the layout of `MaxMind`.
pub(crate) fn city(location: GeoPoint) -> Value {
    Layout::MaxMind.record(&NetworkInfo { location: Some(location), ..NetworkInfo::default() })
}

/// The bytes of a database of the type `Test-City`, with nodes of 8 bytes, and with aliases of the IPv4 networks.
pub(crate) fn database(ip_version: IpVersion, networks: &[(IpNet, Value)]) -> Vec<u8> {
    let (database_type, build_epoch) = ("Test-City".to_owned(), 1_700_000_000);
    let record_size = RecordSize::Bits32;
    let mut writer = Writer::new(Options { ip_version, record_size, database_type, build_epoch, ..Options::default() });
    for (network, value) in networks {
        writer.insert_value(*network, value.clone());
    }
    writer.to_bytes().unwrap()
}
