//! Explanations agree with answers, and answers hold for their scope.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use ipnet::IpNet;
use serde_json::json;
use verge_mmdb::{Options, Writer, sample};
use verge_protocol::Region;
use verge_protocol::explanation::LookupStep;
use verge_test_kit::in_time;

use super::query::query;
use super::random::Random;
use super::world::{World, populate, publish};

/// A world with a database of thousands of networks, overrides inside some of them, and edges in two dozen cities, some forced down
/// and some outside the region restriction.
async fn large() -> World {
    let world = World::with(|config| {
        let database = config.data.with_file_name("city.mmdb");
        let mut writer = Writer::new(Options::default());
        for (network, info) in sample::networks(3) {
            writer.insert(network, &info);
        }
        std::fs::write(&database, writer.to_bytes().unwrap()).unwrap();
        config.database = Some(database);
        let (mut random, networks) = (Random::new(5), networks());
        let mut taken = BTreeSet::new();
        for _ in 0..40 {
            let network = IpNet::new(
                inside(*random.choose(&networks), &mut random),
                u8::try_from(12 + random.below(13)).unwrap(),
            )
            .unwrap()
            .trunc();
            if taken.insert(network) {
                config
                    .locations
                    .push((network, random.choose(&["1.3,103.8", "-33.9,151.2", "42,-71"]).parse().unwrap()));
            }
        }
        config.answers.answers = 3;
    })
    .await;
    for (number, city) in sample::CITIES.iter().step_by(sample::CITIES.len() / 24).enumerate() {
        let force = if number % 5 == 4 { "down" } else { "up" };
        let value = json!({
            "addresses": [format!("127.0.4.{number}"), format!("fe80::4:{number}")],
            "port": 1,
            "location": city.location().to_string(),
            "regions": [(["one", "other"][number % 2])],
            "force": force,
        });
        world.origin.edge(&format!("edge-{number}"), value);
    }
    publish(&world.origin, "restricted/live");
    world.origin.restrict("restricted", &["one"]);
    world.synced().await;
    world
}

/// The address of a client of either family: anywhere, in a network of the database, or in an override.
fn client(world: &World, networks: &[IpNet], random: &mut Random) -> IpAddr {
    match random.below(5) {
        0 => anywhere(random),
        1 => inside(random.choose(&world.config.locations).0, random),
        _ => inside(*random.choose(networks), random),
    }
}

fn anywhere(random: &mut Random) -> IpAddr {
    if random.below(2) == 0 {
        let [a, b, c] = [random.byte(), random.byte(), random.byte()];
        Ipv4Addr::new(u8::try_from(1 + random.below(222)).unwrap(), a, b, c).into()
    } else {
        // 2000::/6 contains all networks in use.
        inside("2000::/6".parse().unwrap(), random)
    }
}

/// The networks of the database.
fn networks() -> Vec<IpNet> {
    sample::networks(3).into_iter().map(|(network, _)| network).collect()
}

fn cut(address: IpAddr) -> IpNet {
    IpNet::new(address, if address.is_ipv4() { 24 } else { 48 }).unwrap().trunc()
}

#[tokio::test]
async fn explanations_agree_with_answers() {
    let world = large().await;
    let (mut random, networks) = (Random::new(11), networks());
    let mut sources = BTreeMap::new();
    for number in 0..500 {
        let name = ["demo.example.com", "restricted.example.com"][number % 2];
        let client = client(&world, &networks, &mut random);
        let explanation = world.explain(client, name).await;
        *sources.entry(format!("{:?}", explanation.client.source)).or_insert(0) += 1;
        if explanation.client.private {
            continue;
        }
        for (record_type, family) in [("A", &explanation.a), ("AAAA", &explanation.aaaa)] {
            let question = query(&format!("{name} {record_type}")).subnet(&cut(client).to_string());
            let answer = world.udp(&question).await;
            let named: Vec<IpAddr> = family.edges.iter().filter_map(|edge| edge.address).collect();
            assert_eq!(answer.addresses(), named, "{client}");
            assert_eq!((answer.addresses().len(), answer.ttl()), (3, Some(family.ttl)), "{client}");
            let network: IpNet = explanation.client.network.parse().unwrap();
            assert_eq!(answer.scope(), Some(network.prefix_len()), "{client}");
            assert!(network.contains(&client));
        }
    }
    assert!(sources.len() == 3 && sources.values().all(|count| *count >= 10), "{sources:?}");
    world.stop().await;
}

/// RFC 7871 §7.3.1: an answer that is cached for a network must be correct for all of it.
#[tokio::test]
async fn every_client_within_a_scope_gets_the_same_answer() {
    let world = large().await;
    let (mut random, networks) = (Random::new(13), networks());
    let mut scopes: BTreeMap<IpNet, Vec<IpAddr>> = BTreeMap::new();
    for _ in 0..500 {
        let client = client(&world, &networks, &mut random);
        if world.explain(client, "demo.example.com").await.client.private {
            continue;
        }
        let question = |network: IpNet| query("demo.example.com A").subnet(&network.to_string());
        let answer = world.udp(&question(cut(client))).await;
        let scope = IpNet::new(client, answer.scope().unwrap()).unwrap().trunc();
        let within = (0..2).map(|_| inside(scope, &mut random));
        let ends = [scope.network(), scope.broadcast()];
        for other in ends.into_iter().chain(within.collect::<Vec<_>>()) {
            assert!(scope.contains(&other));
            let same = world.udp(&question(cut(other))).await;
            assert_eq!((same.scope(), same.addresses()), (answer.scope(), answer.addresses()), "{other} in {scope}");
        }
        // A subnet as long as the scope, or as an address.
        for network in [scope, IpNet::from(client)] {
            let same = world.udp(&question(network)).await;
            assert_eq!((same.scope(), same.addresses()), (answer.scope(), answer.addresses()), "{network}");
        }
        let before = scopes.insert(scope, answer.addresses());
        assert!(before.is_none_or(|before| before == answer.addresses()));
    }
    // In order, a network that overlaps with another is next to it.
    let networks: Vec<&IpNet> = scopes.keys().collect();
    for pair in networks.windows(2) {
        assert!(!pair[0].contains(pair[1]) && !pair[1].contains(pair[0]), "{} and {}", pair[0], pair[1]);
    }
    assert!(networks.iter().any(|network| network.prefix_len() < 16), "{networks:?}");
    world.stop().await;
}

const COM: &str = "example.com.";
const NET: &str = "example.net.";

fn alias(zone: &str, target: &str) -> LookupStep {
    LookupStep::Alias { zone: zone.to_owned(), target: target.to_owned() }
}

/// An alias gets the edges of its target, within the region restriction of the target's site.
#[tokio::test]
async fn alias_of_a_site_is_explained_with_each_step() {
    let world = World::start().await;
    for (edge, last, location, region) in
        [("fra", 1, "50.11,8.68", "eu"), ("nyc", 2, "40.71,-74.01", "na"), ("sin", 3, "1.29,103.85", "as")]
    {
        let addresses = [format!("127.0.1.{last}"), format!("fe80::{last}")];
        let value = json!({
            "addresses": addresses, "port": 1, "location": location, "regions": [region], "force": "up",
        });
        world.origin.edge(edge, value);
    }
    publish(&world.origin, "open/live");
    world.origin.restrict("demo", &["na"]);
    world.origin.restrict("other", &["as"]);
    world.synced().await;
    for (name, aliases) in [
        ("demo.example.com", vec![]),
        ("to-site.example.com", vec![alias(COM, "demo.example.com.")]),
        ("a.sites.example.com", vec![alias(COM, "demo.example.com.")]),
        ("to-net.example.com", vec![alias(COM, "from-com.example.net."), alias(NET, "demo.example.com.")]),
        ("open.example.com", vec![]),
    ] {
        let regions: BTreeSet<Region> =
            if name == "open.example.com" { BTreeSet::new() } else { ["na".parse().unwrap()].into() };
        let fleet = LookupStep::Fleet { zone: COM.to_owned(), regions: regions.clone() };
        for client in ["192.0.2.7", "198.51.100.7", "203.0.113.7"] {
            let explanation = world.explain(client.parse().unwrap(), name).await;
            assert_eq!(explanation.name.unwrap().lookup, [aliases.clone(), vec![fleet.clone()]].concat(), "{name}");
            for (record_type, family) in [("A", explanation.a), ("AAAA", explanation.aaaa)] {
                let question = query(&format!("{name} {record_type}")).subnet(&format!("{client}/32"));
                let addresses: Vec<IpAddr> = family.edges.iter().filter_map(|edge| edge.address).collect();
                assert_eq!(world.udp(&question).await.addresses(), addresses, "{name} {client}");
                assert_eq!(addresses.len(), if regions.is_empty() { 2 } else { 1 });
            }
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn name_without_a_site_is_explained_by_what_was_found() {
    let world = World::start().await;
    let com = || COM.to_owned();
    for (name, lookup) in [
        ("to-www", vec![alias(COM, "www.example.com."), LookupStep::ZoneFileRecords { zone: com() }]),
        ("to-nowhere", vec![alias(COM, "nowhere.example.net."), LookupStep::NoSuchName { zone: NET.to_owned() }]),
        ("outward", vec![alias(COM, "www.elsewhere.test."), LookupStep::NotAuthoritative]),
        ("loop", vec![alias(COM, "loop.example.net."), alias(NET, "loop.example.com."), LookupStep::TooManyAliases]),
        ("mail", vec![LookupStep::ZoneFileRecords { zone: com() }]),
        ("ent", vec![LookupStep::EmptyNonTerminal { zone: com() }]),
        ("a.sub", vec![LookupStep::Delegated { zone: com() }]),
        ("nowhere", vec![LookupStep::NoSuchName { zone: com() }]),
        ("elsewhere.test.", vec![LookupStep::NotAuthoritative]),
    ] {
        let name = if name.ends_with('.') { name.to_owned() } else { format!("{name}.example.com") };
        let explained = world.explain([192, 0, 2, 7].into(), &name).await.name.unwrap();
        assert_eq!(explained.lookup, lookup, "{name}");
        assert_eq!(explained.fleet_regions(), None, "{name}");
    }
    world.stop().await;
}

#[tokio::test]
async fn wait_until_answered_returns_once_names_and_edges_are_known() {
    let world = World::empty(|_| {}).await;
    let names = ["demo.example.com".parse().unwrap(), "example.com".parse().unwrap()];
    let edges = ["fra".parse().unwrap(), "sin".parse().unwrap()];
    world.name_server.wait_until_answered(&[], &[]).await;
    let mut wait = Box::pin(world.name_server.wait_until_answered(&names, &edges));
    publish(&world.origin, "demo/live");
    world.origin.domain("example.com", "demo");
    world.synced().await;
    let pending = tokio::time::timeout(Duration::from_millis(50), &mut wait).await;
    assert!(pending.is_err(), "no edge is known");
    populate(&world.origin);
    in_time("the names and edges", wait).await;
    assert_eq!(world.edges_for("demo.example.com", "192.0.2.0/24").await.len(), 2);
    world.stop().await;
}

fn inside(network: IpNet, random: &mut Random) -> IpAddr {
    match network {
        IpNet::V4(network) => {
            let host = u32::try_from(random.number() >> 32).unwrap() & u32::from(network.hostmask());
            Ipv4Addr::from(u32::from(network.network()) | host).into()
        }
        IpNet::V6(network) => {
            let bits = u128::from(random.number()) << 64 | u128::from(random.number());
            Ipv6Addr::from(u128::from(network.network()) | bits & u128::from(network.hostmask())).into()
        }
    }
}
