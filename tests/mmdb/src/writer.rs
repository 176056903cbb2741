//! Databases of networks, written by the crate `mmdb-writer`.

use std::time::{Duration, UNIX_EPOCH};

use ipnet::IpNet;
pub use mmdb_writer::{Error, IpVersion, RecordSize, Value};

use crate::layout::{Layout, NetworkInfo};

/// The properties of a database.
#[derive(Debug, Clone)]
pub struct Options {
    /// [`IpVersion::V6`] includes IPv4 at `::/96`.
    pub ip_version: IpVersion,
    /// The size of a record of the search tree.
    pub record_size: RecordSize,
    /// The layout of records.
    pub layout: Layout,
    /// Whether `::ffff:0:0/96`, `2001::/32` and `2002::/16` lead to the IPv4 addresses, as in databases of `MaxMind`. Networks
    /// inside them are then rejected, and one record for all of IPv4 is not visible through
    /// them.
    pub aliases: bool,
    /// The database type in the metadata. Some readers expect coordinates only if it ends in `City`.
    pub database_type: String,
    /// The build time in the metadata, in seconds since 1970. Not the current time, so that the same input makes the same bytes.
    pub build_epoch: u64,
}

impl Default for Options {
    /// The properties of most published city databases: both IP versions, 28 bits, nested maps, aliases.
    fn default() -> Self {
        Self {
            ip_version: IpVersion::V6,
            record_size: RecordSize::Bits28,
            layout: Layout::MaxMind,
            aliases: true,
            database_type: "Verge-Test-City".to_owned(),
            build_epoch: 1_767_225_600,
        }
    }
}

/// Collects networks and writes a database.
///
/// A more specific network takes precedence over one that contains it, whatever the order of insertion; of two equal networks the
/// later.
#[derive(Debug)]
pub struct Writer {
    options: Options,
    entries: Vec<(IpNet, Value)>,
}

impl Writer {
    /// An empty database.
    pub fn new(options: Options) -> Self {
        Self { options, entries: Vec::new() }
    }

    /// Adds a network, with a record in the layout of the database.
    pub fn insert(&mut self, network: IpNet, info: &NetworkInfo) {
        self.insert_value(network, self.options.layout.record(info));
    }

    /// Adds a network with any record.
    pub fn insert_value(&mut self, network: IpNet, record: Value) {
        self.entries.push((network, record));
    }

    /// The bytes of the database.
    pub fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let Options { ip_version, record_size, aliases, database_type, build_epoch, .. } = self.options.clone();
        let aliasing = if aliases { mmdb_writer::Ipv4Aliasing::Enabled } else { mmdb_writer::Ipv4Aliasing::Disabled };
        let mut writer = mmdb_writer::Writer::builder(database_type)
            .ip_version(ip_version)
            .record_size(record_size)
            .ipv4_aliasing(aliasing)
            .description(&[("en", "Fictional, for tests")])
            .build_epoch(UNIX_EPOCH + Duration::from_secs(build_epoch))
            .build();
        // `mmdb-writer` lets later networks overwrite earlier ones, so the shortest come first. In an IPv6 tree, IPv4 networks are
        // below ::/96.
        let depth = |network: &IpNet| match network {
            IpNet::V4(network) if ip_version == IpVersion::V6 => 96 + network.prefix_len(),
            network => network.prefix_len(),
        };
        let mut entries: Vec<&(IpNet, Value)> = self.entries.iter().collect();
        entries.sort_by_key(|(network, _)| depth(network));
        for (network, record) in entries {
            writer.insert_value(*network, record.clone())?;
        }
        writer.to_bytes()
    }
}
