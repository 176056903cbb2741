//! Databases are read back by another implementation.
#![expect(clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use maxminddb::Reader;
use proptest::prelude::*;
use serde::Deserialize;
use verge_mmdb::layout::Degrees;
use verge_mmdb::sample::{self, CITIES};
use verge_mmdb::{IpVersion, Layout, NetworkInfo, Options, RecordSize, Value, Writer};
use verge_protocol::GeoPoint;

const LAYOUTS: [Layout; 4] =
    [Layout::MaxMind, Layout::Flat(Degrees::Double), Layout::Flat(Degrees::Float), Layout::Flat(Degrees::Text)];
const SIZES: [RecordSize; 3] = [RecordSize::Bits24, RecordSize::Bits28, RecordSize::Bits32];

/// Every combination of record size, layout and, for IPv6, aliases.
fn all_options(ip_version: IpVersion) -> impl Iterator<Item = Options> {
    let aliases: &[bool] = if ip_version == IpVersion::V4 { &[false] } else { &[false, true] };
    aliases.iter().flat_map(move |aliases| {
        SIZES.into_iter().flat_map(move |record_size| {
            LAYOUTS.map(|layout| Options { ip_version, record_size, layout, aliases: *aliases, ..Options::default() })
        })
    })
}

fn written(options: &Options, networks: &[(IpNet, NetworkInfo)]) -> Reader<Vec<u8>> {
    let mut writer = Writer::new(options.clone());
    for (network, info) in networks {
        writer.insert(*network, info);
    }
    let reader = Reader::from_source(writer.to_bytes().unwrap()).unwrap();
    reader.verify().unwrap();
    reader
}

/// A record of any layout, as serde sees it.
#[derive(Deserialize)]
#[serde(untagged)]
enum Field {
    Map(BTreeMap<String, Field>),
    Number(f64),
    Text(String),
}

impl Field {
    fn at(&self, path: &[&str]) -> Option<&Field> {
        match (path, self) {
            ([], field) => Some(field),
            ([key, rest @ ..], Self::Map(map)) => map.get(*key)?.at(rest),
            _ => None,
        }
    }

    fn text(&self, path: &[&str]) -> Option<String> {
        match self.at(path)? {
            Self::Text(text) => Some(text.clone()),
            _ => panic!("{path:?} is not text"),
        }
    }

    fn degrees(&self, path: &[&str], layout: Layout) -> Option<f64> {
        match (self.at(path)?, layout) {
            (Self::Number(number), Layout::MaxMind | Layout::Flat(Degrees::Double | Degrees::Float)) => Some(*number),
            (Self::Text(text), Layout::Flat(Degrees::Text)) => Some(text.parse().unwrap()),
            _ => panic!("{path:?} is not as {layout:?} spells degrees"),
        }
    }

    fn info(&self, layout: Layout) -> NetworkInfo {
        let [latitude, longitude, country, continent, city] = match layout {
            Layout::MaxMind => [
                &["location", "latitude"][..],
                &["location", "longitude"],
                &["country", "iso_code"],
                &["continent", "code"],
                &["city", "names", "en"],
            ],
            Layout::Flat(_) => [&["latitude"][..], &["longitude"], &["country_code"], &["continent_code"], &["city"]],
        };
        let location = self
            .degrees(latitude, layout)
            .zip(self.degrees(longitude, layout))
            .map(|(latitude, longitude)| GeoPoint::new(latitude, longitude).unwrap());
        NetworkInfo { location, country: self.text(country), continent: self.text(continent), city: self.text(city) }
    }
}

/// The info as it comes back: degrees of 32 bits are near, not equal.
fn rounded(info: &NetworkInfo, layout: Layout) -> NetworkInfo {
    #[expect(clippy::cast_possible_truncation, reason = "the loss of precision is what is asked for")]
    let round = |degrees: f64| f64::from(degrees as f32);
    let location = info.location.map(|location| match layout {
        Layout::Flat(Degrees::Float) => GeoPoint::new(round(location.latitude()), round(location.longitude())).unwrap(),
        _ => location,
    });
    NetworkInfo { location, ..info.clone() }
}

/// The address as a path from the root of a tree of this IP version: 128 bits, highest first.
fn path(address: IpAddr, ip_version: IpVersion) -> u128 {
    match (address, ip_version) {
        (IpAddr::V4(address), IpVersion::V4) => u128::from(address.to_bits()) << 96,
        (IpAddr::V4(address), _) => address.to_bits().into(),
        (IpAddr::V6(address), _) => address.to_bits(),
    }
}

fn depth(network: IpNet, ip_version: IpVersion) -> u8 {
    if network.addr().is_ipv4() && ip_version == IpVersion::V6 {
        96 + network.prefix_len()
    } else {
        network.prefix_len()
    }
}

/// A model of the tree that looks at every network: the record of an address, and how many of its bits decide it. That is enough
/// bits to tell the address apart from every network that it is not in, and at least one, as the root has two records.
fn by_hand(networks: &[(IpNet, NetworkInfo)], ip_version: IpVersion, address: IpAddr) -> (Option<&NetworkInfo>, u8) {
    let address = path(address, ip_version);
    let (mut found, mut decided) = (None, 1);
    for (network, info) in networks {
        let length = depth(*network, ip_version);
        let shared = u8::try_from((path(network.network(), ip_version) ^ address).leading_zeros()).unwrap();
        if shared < length {
            decided = decided.max(shared + 1);
        } else {
            decided = decided.max(length);
            // Of equal ones the later.
            if found.is_none_or(|(longest, _)| length >= longest) {
                found = Some((length, info));
            }
        }
    }
    (found.map(|(_, info)| info), decided)
}

fn assert_read(reader: &Reader<Vec<u8>>, options: &Options, networks: &[(IpNet, NetworkInfo)], address: IpAddr) {
    let ip_version = options.ip_version;
    let read = reader.lookup(address).unwrap();
    let (info, decided) = by_hand(networks, ip_version, address);
    let expected = info.map(|info| rounded(info, options.layout));
    let found = read.decode::<Field>().unwrap().map(|record| record.info(options.layout));
    assert_eq!(found, expected, "{address} with {options:?}");
    let network = read.network().unwrap();
    let in_ipv4 = ip_version == IpVersion::V6 && network.is_ipv4();
    // Adjacent networks with equal records may be merged into one.
    assert!(network.prefix() + if in_ipv4 { 96 } else { 0 } <= decided, "{address} in {network} with {options:?}");
    for end in [network.network(), network.broadcast()] {
        let at_end = by_hand(networks, ip_version, end).0.map(|info| rounded(info, options.layout));
        assert_eq!(at_end, expected, "{end} in {network} of {address} with {options:?}");
    }
}

/// Networks of few distinct bits, so that many are nested and adjacent.
fn ipv4() -> impl Strategy<Value = IpNet> {
    let bits = prop_oneof![any::<u32>(), any::<u32>().prop_map(|bits| bits & 0x8180_0103), Just(0), Just(u32::MAX)];
    (bits, 0..=32_u8).prop_map(|(bits, length)| Ipv4Net::new(Ipv4Addr::from_bits(bits), length).unwrap().trunc().into())
}

fn ipv6() -> impl Strategy<Value = IpNet> {
    let sparse = any::<u128>().prop_map(|bits| 0x2a00 << 112 | bits & 0x8000_0001_0001_0000_0000_0003);
    let bits = prop_oneof![any::<u128>(), sparse, any::<u32>().prop_map(u128::from)];
    (bits, 0..=128_u8)
        .prop_map(|(bits, length)| Ipv6Net::new(Ipv6Addr::from_bits(bits), length).unwrap().trunc().into())
}

/// IPv6 networks that contain neither all of IPv4 nor an alias of it, and are in none.
fn ipv6_without_aliases() -> impl Strategy<Value = IpNet> {
    ipv6().prop_filter("overlaps with IPv4", |network| {
        let ipv4 =
            ["::/96", "::ffff:0:0/96", "2001::/32", "2002::/16"].map(|network| network.parse::<IpNet>().unwrap());
        ipv4.iter().all(|ipv4| !network.contains(ipv4)) && ipv4[1..].iter().all(|alias| !alias.contains(network))
    })
}

fn info() -> impl Strategy<Value = NetworkInfo> {
    (0..CITIES.len(), any::<[bool; 4]>()).prop_map(|(city, [location, country, continent, name])| {
        let whole = CITIES[city].info();
        NetworkInfo {
            location: whole.location.filter(|_| location),
            country: whole.country.filter(|_| country),
            continent: whole.continent.filter(|_| continent),
            city: whole.city.filter(|_| name),
        }
    })
}

/// Random addresses, the ends of each network, and their neighbours.
fn addresses(networks: &[(IpNet, NetworkInfo)], random: Vec<IpAddr>) -> Vec<IpAddr> {
    let mut addresses = random;
    let near4 =
        |end: Ipv4Addr| [0, 1, u32::MAX].map(|step| Ipv4Addr::from_bits(end.to_bits().wrapping_add(step)).into());
    let near6 =
        |end: Ipv6Addr| [0, 1, u128::MAX].map(|step| Ipv6Addr::from_bits(end.to_bits().wrapping_add(step)).into());
    for (network, _) in networks {
        for end in [network.network(), network.broadcast()] {
            addresses.extend::<[IpAddr; 3]>(match end {
                IpAddr::V4(end) => near4(end),
                IpAddr::V6(end) => near6(end),
            });
        }
    }
    addresses
}

/// Whether the address is in one of the aliases of IPv4: IPv4-mapped, Teredo, 6to4.
fn is_alias(address: IpAddr) -> bool {
    let IpAddr::V6(address) = address else { return false };
    let [first, second, ..] = address.segments();
    address.to_ipv4_mapped().is_some() || (first, second) == (0x2001, 0) || first == 0x2002
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn ipv4_networks_read_back_in_every_layout_and_record_size(
        networks in prop::collection::vec((ipv4(), info()), 0..24),
        random in prop::collection::vec(any::<Ipv4Addr>().prop_map(IpAddr::V4), 8),
    ) {
        for options in all_options(IpVersion::V4) {
            let reader = written(&options, &networks);
            for address in addresses(&networks, random.clone()) {
                assert_read(&reader, &options, &networks, address);
            }
        }
    }

    #[test]
    fn ipv6_and_ipv4_networks_read_back_from_one_tree(
        networks in prop::collection::vec((prop_oneof![ipv4(), ipv6()], info()), 0..24),
        random in prop::collection::vec(any::<Ipv4Addr>().prop_map(IpAddr::V4), 4),
        random6 in prop::collection::vec(any::<Ipv6Addr>().prop_map(IpAddr::V6), 4),
    ) {
        for options in all_options(IpVersion::V6).filter(|options| !options.aliases) {
            let reader = written(&options, &networks);
            for address in addresses(&networks, [&random[..], &random6].concat()) {
                assert_read(&reader, &options, &networks, address);
            }
        }
    }

    #[test]
    fn aliases_lead_to_ipv4_and_leave_other_addresses_unchanged(
        mut networks in prop::collection::vec((prop_oneof![ipv4(), ipv6_without_aliases()], info()), 0..24),
        random in prop::collection::vec(any::<Ipv4Addr>(), 8),
    ) {
        // Aliases need a subtree of IPv4: one record for all of it is no subtree.
        let only = NetworkInfo { city: Some("Only".into()), ..NetworkInfo::default() };
        networks.push(("9.9.9.9/32".parse().unwrap(), only));
        for options in all_options(IpVersion::V6).filter(|options| options.aliases) {
            let reader = written(&options, &networks);
            let record = |address: IpAddr| {
                reader.lookup(address).unwrap().decode::<Field>().unwrap().map(|record| record.info(options.layout))
            };
            for address in addresses(&networks, random.iter().copied().map(IpAddr::V4).collect()) {
                if !is_alias(address) {
                    let expected = by_hand(&networks, IpVersion::V6, address).0.map(|info| rounded(info, options.layout));
                    prop_assert_eq!(record(address), expected, "{}", address);
                }
                if let IpAddr::V4(ipv4) = address {
                    let to_6to4 = 0x2002 << 112 | u128::from(ipv4.to_bits()) << 80 | 0x1234;
                    prop_assert_eq!(record(ipv4.to_ipv6_mapped().into()), record(address));
                    prop_assert_eq!(record(Ipv6Addr::from_bits(to_6to4).into()), record(address));
                }
            }
        }
    }
}

#[test]
fn sample_reads_back() {
    let sample = sample::networks(1);
    for ip_version in [IpVersion::V4, IpVersion::V6] {
        let networks: Vec<_> = sample
            .iter()
            .filter(|(network, _)| ip_version == IpVersion::V6 || network.addr().is_ipv4())
            .cloned()
            .collect();
        let options = Options { ip_version, aliases: false, ..Options::default() };
        let reader = written(&options, &networks);
        for address in addresses(&networks, Vec::new()).into_iter().step_by(37) {
            assert_read(&reader, &options, &networks, address);
        }
    }
}

#[test]
fn metadata_read_back_as_set() {
    for ip_version in [IpVersion::V4, IpVersion::V6] {
        for options in all_options(ip_version) {
            let reader = written(&Options { build_epoch: 42, database_type: "A-City".into(), ..options.clone() }, &[]);
            let metadata = reader.metadata();
            assert_eq!((metadata.binary_format_major_version, metadata.binary_format_minor_version), (2, 0));
            assert_eq!(metadata.ip_version, if ip_version == IpVersion::V4 { 4 } else { 6 });
            let bits = match options.record_size {
                RecordSize::Bits24 => 24,
                RecordSize::Bits28 => 28,
                _ => 32,
            };
            assert_eq!(metadata.record_size, bits);
            assert_eq!((metadata.build_epoch, metadata.database_type.as_str()), (42, "A-City"));
        }
    }
}

#[test]
fn shared_values_read_back_behind_pointers_of_every_size() {
    // Each network has its own half of a country, a filler that moves the next ones on, and all of the country before it.
    let country =
        |index: u32| Value::map([("iso_code", Value::from("XX")), ("name", Value::String(format!("country {index}")))]);
    let network = |index: u32| Ipv4Net::new(Ipv4Addr::from_bits(index << 24), 8).unwrap();
    let mut writer = Writer::new(Options { ip_version: IpVersion::V4, ..Options::default() });
    for index in 0..60_u32 {
        let filler = format!("{index} ").repeat(if index < 30 { 20 } else { 10_000 });
        let record = Value::map([
            ("before", country(index.saturating_sub(1))),
            ("country", country(index)),
            ("filler", Value::String(filler)),
            ("first", country(0)),
        ]);
        writer.insert_value(network(index).into(), record);
    }
    let bytes = writer.to_bytes().unwrap();
    // 29 short fillers of 60 bytes reach past 2 KiB, 30 long ones past 512 KiB.
    assert!(bytes.len() > 800_000, "{}", bytes.len());
    let reader = Reader::from_source(bytes).unwrap();
    for index in 0..60_u32 {
        let record = reader.lookup(network(index).addr().into()).unwrap().decode::<Field>().unwrap().unwrap();
        for (key, index) in [("before", index.saturating_sub(1)), ("country", index), ("first", 0)] {
            assert_eq!(record.text(&[key, "name"]), Some(format!("country {index}")));
            assert_eq!(record.text(&[key, "iso_code"]).as_deref(), Some("XX"));
        }
    }
}
