//! Location databases in the MMDB format.

use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader};
use verge_protocol::Timestamp;

use super::geo_vector::GeoVector;
use super::import::{ImportError, Records, networks};
use super::prefix::{Family, Prefix};
use super::prefix_table::PrefixTable;

/// A database, decoded completely when it is loaded. Nothing of the file is kept, so neither a malformed record nor an operator
/// who overwrites the file affects queries.
#[derive(Debug)]
pub(crate) struct Database {
    about: About,
    tables: [PrefixTable; 2],
    points: Vec<GeoVector>,
}

/// A description of a database, for logs and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// The file; empty if read from memory.
    pub(crate) path: PathBuf,
    /// The type that the metadata name, such as `GeoLite2-City`.
    pub(crate) database_type: String,
    /// When it was built.
    pub(crate) built: Timestamp,
    /// The number of networks, none longer than a /24 or a /48.
    pub(crate) networks: usize,
    /// The number of distinct records.
    pub(crate) records: usize,
    /// The number of records that have a location.
    pub(crate) locations: usize,
    /// The size of the file in bytes.
    pub(crate) bytes: usize,
}

/// Why a file cannot be used. The caller names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The file cannot be read.
    #[error("failed to read the file")]
    Read(#[from] std::io::Error),
    /// It is not in the format, or truncated.
    #[error("invalid MMDB file")]
    Format(#[from] MaxMindDbError),
    /// Its tree or records are malformed.
    #[error("invalid MMDB file")]
    Import(#[from] ImportError),
    /// It has no coordinates.
    #[error(
        "`{database_type}` has no coordinates: expected a city database, whose records have location.latitude and \
         location.longitude, or latitude and longitude"
    )]
    NoLocations {
        /// The type that the metadata name.
        database_type: String,
    },
}

impl Database {
    /// Reads a file. Takes a second or more for a database of the whole world. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let mut database = Self::read(&std::fs::read(path)?)?;
        path.clone_into(&mut database.about.path);
        Ok(database)
    }

    /// Reads the bytes of a file. Terminates without a panic for any input.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DatabaseError> {
        let reader = Reader::from_source(bytes)?;
        let mut records = Records::default();
        let [v4, v6] = Family::BOTH.map(|family| networks(&reader, family, &mut records));
        let tables = [v4?, v6?];
        let metadata = reader.metadata();
        if records.located() == 0 {
            return Err(DatabaseError::NoLocations { database_type: metadata.database_type.clone() });
        }
        let about = About {
            path: PathBuf::new(),
            database_type: metadata.database_type.clone(),
            built: Timestamp(metadata.build_epoch.saturating_mul(1000)),
            networks: tables.iter().map(PrefixTable::len).sum(),
            records: records.len(),
            locations: records.located(),
            bytes: bytes.len(),
        };
        Ok(Self { about, tables, points: records.into_points() })
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// The network of the client's first address, no longer than a /24 or a /48, and its location; `None` if there is no record.
    pub(super) fn find(&self, client: Prefix) -> Option<(Prefix, Option<GeoVector>)> {
        let (network, index) = self.tables[client.family() as usize].find(client)?;
        Some((network, self.points.get(index as usize).copied()))
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;
    use verge_daemon::error_chain;
    use verge_mmdb::{IpVersion, Value};

    use super::super::test_support::{city, database};
    use super::*;

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn location(text: &str) -> Value {
        city(text.parse().unwrap())
    }

    fn find(database: &Database, address: &str) -> Option<(String, Option<String>)> {
        let (prefix, point) = database.find(Prefix::of(address.parse().unwrap()))?;
        Some((IpNet::from(prefix).to_string(), point.map(|point| point.location().to_string())))
    }

    fn sample() -> Vec<u8> {
        let country = || Value::map([("country", Value::from("DE"))]);
        let flat = |degrees: fn(f64) -> Value| Value::map([("latitude", degrees(1.5)), ("longitude", degrees(2.25))]);
        database(
            IpVersion::V6,
            &[
                (network("10.0.0.0/8"), location("50.11,8.68")),
                (network("10.1.0.0/16"), country()),
                (network("192.0.2.0/25"), location("1,1")),
                (network("192.0.2.128/25"), location("2,2")),
                (network("198.51.100.7/32"), location("3,3")),
                (network("203.0.113.0/24"), flat(|degrees| Value::String(degrees.to_string()))),
                (network("2001:db8::/32"), flat(Value::Double)),
                (network("2001:db8:1:2::/64"), location("4,4")),
                (network("2001:db8:2::/64"), flat(|_| Value::Float(7.5))),
            ],
        )
    }

    #[test]
    fn networks_of_the_file_are_found_truncated() {
        let database = Database::read(&sample()).unwrap();
        for (address, expected) in [
            ("10.128.0.1", Some(("10.128.0.0/9", Some("50.11,8.68")))),
            ("10.1.2.3", Some(("10.1.0.0/16", None))),
            ("192.0.2.200", Some(("192.0.2.0/24", Some("1,1")))),
            ("198.51.100.7", None),
            ("203.0.113.1", Some(("203.0.113.0/24", Some("1.5,2.25")))),
            ("203.0.114.1", None),
            ("::ffff:10.128.0.1", Some(("10.128.0.0/9", Some("50.11,8.68")))),
            ("2001:db8:8000::1", Some(("2001:db8:8000::/33", Some("1.5,2.25")))),
            ("2001:db8:1:2::1", Some(("2001:db8:1::/48", Some("1.5,2.25")))),
            ("2001:db8:2::1", Some(("2001:db8:2::/48", Some("7.5,7.5")))),
            ("2001:db9::1", None),
        ] {
            let expected = expected.map(|(network, location)| (network.to_owned(), location.map(str::to_owned)));
            assert_eq!(find(&database, address), expected, "{address}");
        }
        let About { database_type, built, records, locations, bytes, .. } = database.about().clone();
        assert_eq!((database_type.as_str(), built, bytes), ("Test-City", Timestamp(1_700_000_000_000), sample().len()));
        assert_eq!((records, locations), (6, 5));
    }

    #[test]
    fn ipv4_database_locates_only_ipv4() {
        let database = Database::read(&database(IpVersion::V4, &[(network("10.0.0.0/8"), location("1,2"))])).unwrap();
        assert_eq!(find(&database, "10.0.0.1"), Some(("10.0.0.0/8".to_owned(), Some("1,2".to_owned()))));
        assert_eq!(find(&database, "2001:db8::1"), None);
        assert_eq!(database.about().networks, 1);
    }

    #[test]
    fn single_record_for_all_of_ipv4_is_found() {
        let all = [(network("0.0.0.0/0"), location("1,2")), (network("2001:db8::/32"), location("3,4"))];
        let database = Database::read(&database(IpVersion::V6, &all)).unwrap();
        assert_eq!(find(&database, "192.0.2.1"), Some(("0.0.0.0/0".to_owned(), Some("1,2".to_owned()))));
        assert_eq!(find(&database, "2001:db9::1"), None);
    }

    #[test]
    fn ipv6_database_without_ipv4_locates_only_ipv6() {
        let database =
            Database::read(&database(IpVersion::V6, &[(network("2001:db8::/32"), location("1,2"))])).unwrap();
        assert_eq!(find(&database, "10.0.0.1"), None);
        assert_eq!(find(&database, "2001:db8::1"), Some(("2001:db8::/32".to_owned(), Some("1,2".to_owned()))));
    }

    #[test]
    fn unusable_file_is_rejected_with_its_reason() {
        let country = Value::map([("country", Value::from("DE"))]);
        let countries = database(IpVersion::V4, &[(network("10.0.0.0/8"), country)]);
        insta::assert_snapshot!(
            [Database::read(&countries), Database::read(b""), Database::open(Path::new("/nowhere"))]
                .map(|result| error_chain(&result.unwrap_err()))
                .join("\n"),
            @r"
        `Test-City` has no coordinates: expected a city database, whose records have location.latitude and location.longitude, or latitude and longitude
        invalid MMDB file: invalid database: could not find MaxMind DB metadata in file
        failed to read the file: No such file or directory (os error 2)
        "
        );
    }

    #[test]
    fn tree_with_cycles_or_shared_branches_is_rejected() {
        let mut bytes = sample();
        // Every pointer leads back to the root.
        let nodes = Reader::from_source(&bytes).unwrap().metadata().node_count as usize;
        bytes[..nodes * 8].fill(0);
        assert!(Database::read(&bytes).is_err());
        // Both branches of every node are the next node: 2^48 well-formed networks.
        for node in 0..nodes {
            let next = u32::try_from(node + 1).unwrap().to_be_bytes();
            bytes[node * 8..][..8].copy_from_slice(&[next, next].concat());
        }
        assert!(matches!(Database::read(&bytes), Err(DatabaseError::Import(ImportError::Cycles { .. }))));
    }

    #[test]
    fn truncated_file_is_rejected() {
        let whole = sample();
        for length in 0..whole.len() {
            assert!(Database::read(&whole[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn corrupt_file_does_not_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
        ) {
            let mut bytes = sample();
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if let Ok(database) = Database::read(&bytes) {
                for address in ["10.128.0.1", "192.0.2.200", "255.255.255.255", "2001:db8::1", "::", "ffff::"] {
                    find(&database, address);
                }
            }
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), with_metadata: bool
        ) {
            let sample = sample();
            let marker = sample.windows(4).rposition(|window| window == b"\xab\xcd\xefM").unwrap();
            bytes.extend_from_slice(if with_metadata { &sample[marker..] } else { &[] });
            let _ = Database::read(&bytes);
        }
    }
}
