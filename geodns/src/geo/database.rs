//! Databases of where networks are, in the MMDB format.

use std::path::{Path, PathBuf};

use maxminddb::{MaxMindDbError, Reader};
use verge_protocol::Timestamp;

use super::block::{Block, Family};
use super::point::Point;
use super::table::Table;
use super::walk::{Records, walk};

/// A database, read once and wholly: every network was walked and every record decoded when it was loaded, nothing of the file
/// is kept, so neither a damaged record nor an operator who overwrites the file can surprise a query.
#[derive(Debug)]
pub(crate) struct Database {
    about: About,
    tables: [Table; 2],
    points: Vec<Point>,
}

/// What there is to say of a database, for status and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct About {
    /// Where it was read from; empty if from memory.
    pub(crate) path: PathBuf,
    /// What its maker calls it: `GeoLite2-City`.
    pub(crate) database_type: String,
    /// When it was made.
    pub(crate) built: Timestamp,
    /// Networks that are told apart: none longer than a /24 or a /48.
    pub(crate) networks: usize,
    /// Distinct records those lead to.
    pub(crate) records: usize,
    /// How many of the records have a place.
    pub(crate) places: usize,
    /// Of the file.
    pub(crate) bytes: usize,
}

/// Why a file is of no use. The caller names the file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// It cannot be read.
    #[error("cannot read it")]
    Read(#[from] std::io::Error),
    /// It is not in the format, or breaks off.
    #[error("it is no whole MMDB file")]
    Damaged(#[from] MaxMindDbError),
    /// Its tree has circles or shared branches.
    #[error("it is no whole MMDB file: it has more networks than its tree of {nodes} nodes can have")]
    Tangled {
        /// How many there are.
        nodes: u32,
    },
    /// It is in the format, but about something else.
    #[error(
        "`{database_type}` has no coordinates: expected a database of cities, whose records have location.latitude and \
         location.longitude, or latitude and longitude"
    )]
    NoPlaces {
        /// What it says it is.
        database_type: String,
    },
}

impl Database {
    /// Reads a file; takes about a second for a whole world. Blocks.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let mut database = Self::read(&std::fs::read(path)?)?;
        path.clone_into(&mut database.about.path);
        Ok(database)
    }

    /// Reads the bytes of a file. Never panics, whatever they are, and ends.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, DatabaseError> {
        let reader = Reader::from_source(bytes)?;
        let mut records = Records::default();
        let [v4, v6] = Family::BOTH.map(|family| walk(&reader, family, &mut records));
        let tables = [v4?, v6?];
        let metadata = reader.metadata();
        if records.places() == 0 {
            return Err(DatabaseError::NoPlaces { database_type: metadata.database_type.clone() });
        }
        let about = About {
            path: PathBuf::new(),
            database_type: metadata.database_type.clone(),
            built: Timestamp(metadata.build_epoch.saturating_mul(1000)),
            networks: tables.iter().map(Table::len).sum(),
            records: records.len(),
            places: records.places(),
            bytes: bytes.len(),
        };
        Ok(Self { about, tables, points: records.into_points() })
    }

    pub(crate) fn about(&self) -> &About {
        &self.about
    }

    /// The network that a client's first address is in, cut to what is told apart, and its place; `None` if there is no record.
    pub(super) fn find(&self, client: Block) -> Option<(Block, Option<Point>)> {
        let (network, point) = self.tables[client.family() as usize].find(client)?;
        Some((network, self.points.get(point as usize).copied()))
    }
}

#[cfg(test)]
mod tests {
    use ipnet::IpNet;
    use proptest::prelude::*;
    use verge_daemon::error_chain;
    use verge_mmdb::{Family as Families, Value};

    use super::super::testing::{city, database};
    use super::*;

    fn network(text: &str) -> IpNet {
        text.parse().unwrap()
    }

    fn place(text: &str) -> Value {
        city(text.parse().unwrap())
    }

    fn find(database: &Database, address: &str) -> Option<(String, Option<String>)> {
        let (block, point) = database.find(Block::of(address.parse().unwrap()))?;
        Some((IpNet::from(block).to_string(), point.map(|point| point.place().to_string())))
    }

    fn world() -> Vec<u8> {
        let country = || Value::map([("country", Value::text("DE"))]);
        let flat = |degrees: fn(f64) -> Value| Value::map([("latitude", degrees(1.5)), ("longitude", degrees(2.25))]);
        database(
            Families::V6,
            &[
                (network("10.0.0.0/8"), place("50.11,8.68")),
                (network("10.1.0.0/16"), country()),
                (network("192.0.2.0/25"), place("1,1")),
                (network("192.0.2.128/25"), place("2,2")),
                (network("198.51.100.7/32"), place("3,3")),
                (network("203.0.113.0/24"), flat(|degrees| Value::Text(degrees.to_string()))),
                (network("2001:db8::/32"), flat(Value::Double)),
                (network("2001:db8:1:2::/64"), place("4,4")),
                (network("2001:db8:2::/64"), flat(|_| Value::Float(7.5))),
            ],
        )
    }

    #[test]
    fn networks_are_those_of_the_file_cut_short() {
        let database = Database::read(&world()).unwrap();
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
            let expected = expected.map(|(network, place)| (network.to_owned(), place.map(str::to_owned)));
            assert_eq!(find(&database, address), expected, "{address}");
        }
        let About { database_type, built, records, places, bytes, .. } = database.about().clone();
        assert_eq!((database_type.as_str(), built, bytes), ("Test-City", Timestamp(1_700_000_000_000), world().len()));
        assert_eq!((records, places), (6, 5));
    }

    #[test]
    fn a_database_of_ipv4_alone() {
        let database = Database::read(&database(Families::V4, &[(network("10.0.0.0/8"), place("1,2"))])).unwrap();
        assert_eq!(find(&database, "10.0.0.1"), Some(("10.0.0.0/8".to_owned(), Some("1,2".to_owned()))));
        assert_eq!(find(&database, "2001:db8::1"), None);
        assert_eq!(database.about().networks, 1);
    }

    #[test]
    fn one_record_for_all_of_ipv4() {
        let all = [(network("0.0.0.0/0"), place("1,2")), (network("2001:db8::/32"), place("3,4"))];
        let database = Database::read(&database(Families::V6, &all)).unwrap();
        assert_eq!(find(&database, "192.0.2.1"), Some(("0.0.0.0/0".to_owned(), Some("1,2".to_owned()))));
        assert_eq!(find(&database, "2001:db9::1"), None);
    }

    #[test]
    fn a_database_of_ipv6_alone() {
        let database = Database::read(&database(Families::V6, &[(network("2001:db8::/32"), place("1,2"))])).unwrap();
        assert_eq!(find(&database, "10.0.0.1"), None);
        assert_eq!(find(&database, "2001:db8::1"), Some(("2001:db8::/32".to_owned(), Some("1,2".to_owned()))));
    }

    #[test]
    fn what_cannot_be_used() {
        let country = Value::map([("country", Value::text("DE"))]);
        let countries = database(Families::V4, &[(network("10.0.0.0/8"), country)]);
        insta::assert_snapshot!(
            [Database::read(&countries), Database::read(b""), Database::open(Path::new("/nowhere"))]
                .map(|result| error_chain(&result.unwrap_err()))
                .join("\n"),
            @r"
        `Test-City` has no coordinates: expected a database of cities, whose records have location.latitude and location.longitude, or latitude and longitude
        it is no whole MMDB file: invalid database: could not find MaxMind DB metadata in file
        cannot read it: No such file or directory (os error 2)
        "
        );
    }

    #[test]
    fn a_tree_that_runs_in_circles_ends() {
        let mut bytes = world();
        // Every pointer leads back to the root.
        let nodes = Reader::from_source(&bytes).unwrap().metadata().node_count as usize;
        bytes[..nodes * 8].fill(0);
        assert!(Database::read(&bytes).is_err());
        // Every node's branches are one: 2^48 networks, and all of them well-formed.
        for node in 0..nodes {
            let next = u32::try_from(node + 1).unwrap().to_be_bytes();
            bytes[node * 8..][..8].copy_from_slice(&[next, next].concat());
        }
        assert!(matches!(Database::read(&bytes), Err(DatabaseError::Tangled { .. })));
    }

    #[test]
    fn a_file_that_breaks_off_is_refused() {
        let whole = world();
        for length in 0..whole.len() {
            assert!(Database::read(&whole[..length]).is_err(), "{length}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn nothing_in_a_file_makes_it_panic(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)
        ) {
            let mut bytes = world();
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
        fn nothing_at_all_makes_it_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..400), with_metadata: bool
        ) {
            let world = world();
            let marker = world.windows(4).rposition(|window| window == b"\xab\xcd\xefM").unwrap();
            bytes.extend_from_slice(if with_metadata { &world[marker..] } else { &[] });
            let _ = Database::read(&bytes);
        }
    }
}
