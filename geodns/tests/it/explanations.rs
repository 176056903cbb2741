//! What is explained is what is answered; and what is answered holds for whom it says.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;
use serde_json::json;
use verge_mmdb::{Options, Writer, sample};
use verge_protocol::Region;

use super::chance::Chance;
use super::query::query;
use super::world::World;

/// A world with a database of thousands of networks, overrides inside of some, and edges in two dozen cities, some of which are
/// down and some fenced out.
async fn large() -> World {
    let world = World::with(|config| {
        let database = config.data.with_file_name("city.mmdb");
        let mut writer = Writer::new(Options::default());
        for (network, spot) in sample::world(3) {
            writer.insert(network, &spot).unwrap();
        }
        std::fs::write(&database, writer.to_bytes().unwrap()).unwrap();
        config.database = Some(database);
        let (mut chance, networks) = (Chance::new(5), networks());
        let mut taken = std::collections::BTreeSet::new();
        for _ in 0..40 {
            let network = IpNet::new(
                inside(*chance.one_of(&networks), &mut chance),
                u8::try_from(12 + chance.below(13)).unwrap(),
            )
            .unwrap()
            .trunc();
            if taken.insert(network) {
                config
                    .locations
                    .push((network, chance.one_of(&["1.3,103.8", "-33.9,151.2", "42,-71"]).parse().unwrap()));
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
            "location": city.place().to_string(),
            "regions": [(["one", "other"][number % 2])],
            "force": force,
        });
        world.origin.edge(&format!("edge-{number}"), value);
    }
    world.origin.publish("fenced/live");
    world.origin.region_set("fenced", &["one"]);
    world.synced().await;
    world
}

/// An address of a client, of either family: anywhere, or where there is something in the database, or set apart.
fn client(world: &World, networks: &[IpNet], chance: &mut Chance) -> IpAddr {
    match chance.below(5) {
        0 => anywhere(chance),
        1 => inside(chance.one_of(&world.config.locations).0, chance),
        _ => inside(*chance.one_of(networks), chance),
    }
}

fn anywhere(chance: &mut Chance) -> IpAddr {
    if chance.below(2) == 0 {
        let [a, b, c] = [chance.byte(), chance.byte(), chance.byte()];
        Ipv4Addr::new(u8::try_from(1 + chance.below(222)).unwrap(), a, b, c).into()
    } else {
        // Where networks are given out: 2000::/6.
        inside("2000::/6".parse().unwrap(), chance)
    }
}

/// The networks of the database.
fn networks() -> Vec<IpNet> {
    sample::world(3).into_iter().map(|(network, _)| network).collect()
}

fn cut(address: IpAddr) -> IpNet {
    IpNet::new(address, if address.is_ipv4() { 24 } else { 48 }).unwrap().trunc()
}

#[tokio::test]
async fn explanations_agree_with_answers() {
    let world = large().await;
    let (mut chance, networks) = (Chance::new(11), networks());
    let mut kinds = BTreeMap::new();
    for number in 0..500 {
        let name = ["demo.example.com", "fenced.example.com"][number % 2];
        let client = client(&world, &networks, &mut chance);
        let explanation = world.explain(client, name).await;
        *kinds.entry(explanation.located.by.clone()).or_insert(0) += 1;
        if explanation.located.private {
            continue;
        }
        for (record_type, family) in [("A", &explanation.a), ("AAAA", &explanation.aaaa)] {
            let question = query(&format!("{name} {record_type}")).subnet(&cut(client).to_string());
            let answer = world.udp(&question).await;
            let named: Vec<IpAddr> = family.edges.iter().filter_map(|edge| edge.address).collect();
            assert_eq!(answer.addresses(), named, "{client}");
            assert_eq!((answer.addresses().len(), answer.ttl()), (3, Some(family.ttl)), "{client}");
            let network: IpNet = explanation.located.network.parse().unwrap();
            assert_eq!(answer.scope(), Some(network.prefix_len()), "{client}");
            assert!(network.contains(&client));
        }
    }
    assert!(kinds.len() == 3 && kinds.values().all(|count| *count >= 10), "{kinds:?}");
    world.stop().await;
}

/// RFC 7871 §7.3.1: what is cached for a network must be right for all of it.
#[tokio::test]
async fn every_client_within_a_scope_gets_the_same_answer() {
    let world = large().await;
    let (mut chance, networks) = (Chance::new(13), networks());
    let mut scopes: BTreeMap<IpNet, Vec<IpAddr>> = BTreeMap::new();
    for _ in 0..500 {
        let client = client(&world, &networks, &mut chance);
        if world.explain(client, "demo.example.com").await.located.private {
            continue;
        }
        let question = |network: IpNet| query("demo.example.com A").subnet(&network.to_string());
        let answer = world.udp(&question(cut(client))).await;
        let scope = IpNet::new(client, answer.scope().unwrap()).unwrap().trunc();
        let within = (0..2).map(|_| inside(scope, &mut chance));
        let ends = [scope.network(), scope.broadcast()];
        for other in ends.into_iter().chain(within.collect::<Vec<_>>()) {
            assert!(scope.contains(&other));
            let same = world.udp(&question(cut(other))).await;
            assert_eq!((same.scope(), same.addresses()), (answer.scope(), answer.addresses()), "{other} in {scope}");
        }
        // The whole of the scope, or an address, asked for at once.
        for network in [scope, IpNet::from(client)] {
            let same = world.udp(&question(network)).await;
            assert_eq!((same.scope(), same.addresses()), (answer.scope(), answer.addresses()), "{network}");
        }
        let before = scopes.insert(scope, answer.addresses());
        assert!(before.is_none_or(|before| before == answer.addresses()));
    }
    // In order, whatever a network overlaps with comes right before or after it.
    let networks: Vec<&IpNet> = scopes.keys().collect();
    for pair in networks.windows(2) {
        assert!(!pair[0].contains(pair[1]) && !pair[1].contains(pair[0]), "{} and {}", pair[0], pair[1]);
    }
    assert!(networks.iter().any(|network| network.prefix_len() < 16), "{networks:?}");
    world.stop().await;
}

/// What an alias leads to is what its readers get, fence and all.
#[tokio::test]
async fn aliases_are_explained_by_what_they_lead_to() {
    let world = World::start().await;
    for (edge, last, place, region) in
        [("fra", 1, "50.11,8.68", "eu"), ("nyc", 2, "40.71,-74.01", "na"), ("sin", 3, "1.29,103.85", "as")]
    {
        let addresses = [format!("127.0.1.{last}"), format!("fe80::{last}")];
        let value = json!({
            "addresses": addresses, "port": 1, "location": place, "regions": [region], "force": "up",
        });
        world.origin.edge(edge, value);
    }
    world.origin.publish("open/live");
    world.origin.region_set("demo", &["na"]);
    world.origin.region_set("other", &["as"]);
    world.synced().await;
    let site = "a site's name in example.com";
    for (name, found) in [
        ("demo.example.com", site.to_owned()),
        ("to-site.example.com", format!("an alias in example.com of demo.example.com: {site}")),
        ("a.sites.example.com", format!("an alias in example.com of demo.example.com: {site}")),
        (
            "to-net.example.com",
            format!(
                "an alias in example.com of from-com.example.net: an alias in example.net of demo.example.com: {site}"
            ),
        ),
        ("open.example.com", site.to_owned()),
    ] {
        let region_set = if name == "open.example.com" { vec![] } else { vec!["na"] };
        for client in ["192.0.2.7", "198.51.100.7", "203.0.113.7"] {
            let explanation = world.explain(client.parse().unwrap(), name).await;
            let explained = explanation.name.unwrap();
            let kept: Vec<&str> = explained.region_set.iter().map(Region::as_str).collect();
            assert_eq!((explained.found, explained.fleet, kept), (found.clone(), true, region_set.clone()), "{name}");
            for (record_type, family) in [("A", explanation.a), ("AAAA", explanation.aaaa)] {
                let question = query(&format!("{name} {record_type}")).subnet(&format!("{client}/32"));
                let named: Vec<IpAddr> = family.edges.iter().filter_map(|edge| edge.address).collect();
                assert_eq!(world.udp(&question).await.addresses(), named, "{name} {client}");
                assert_eq!(named.len(), if region_set.is_empty() { 2 } else { 1 });
            }
        }
    }
    world.stop().await;
}

#[tokio::test]
async fn aliases_that_lead_to_no_site() {
    let world = World::start().await;
    let (com, net) = ("an alias in example.com of", "an alias in example.net of");
    for (name, found) in [
        ("to-www", format!("{com} www.example.com: records that the zone file of example.com has")),
        ("to-nowhere", format!("{com} nowhere.example.net: no such name in example.net")),
        (
            "outward",
            format!("{com} www.elsewhere.test: in none of the zones served here: resolvers go on by themselves"),
        ),
        ("loop", format!("{com} loop.example.net: {net} loop.example.com: aliases that come to no end")),
        ("mail", "records that the zone file of example.com has".to_owned()),
        ("ent", "no records of its own in example.com".to_owned()),
        ("a.sub", "delegated by example.com to other name servers".to_owned()),
        ("nowhere", "no such name in example.com".to_owned()),
        ("elsewhere.test.", "in none of the zones served here: refused".to_owned()),
    ] {
        let name = if name.ends_with('.') { name.to_owned() } else { format!("{name}.example.com") };
        let explained = world.explain([192, 0, 2, 7].into(), &name).await.name.unwrap();
        assert_eq!((explained.found, explained.fleet, explained.region_set.len()), (found, false, 0), "{name}");
    }
    world.stop().await;
}

fn inside(network: IpNet, chance: &mut Chance) -> IpAddr {
    match network {
        IpNet::V4(network) => {
            let host = u32::try_from(chance.number() >> 32).unwrap() & u32::from(network.hostmask());
            Ipv4Addr::from(u32::from(network.network()) | host).into()
        }
        IpNet::V6(network) => {
            let bits = u128::from(chance.number()) << 64 | u128::from(chance.number());
            Ipv6Addr::from(u128::from(network.network()) | bits & u128::from(network.hostmask())).into()
        }
    }
}
