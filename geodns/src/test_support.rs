//! A snapshot for tests.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use verge_protocol::fleet::{EdgeState, Force};

use crate::caa;
use crate::dns::name::Name;
use crate::fleet::{Fleet, Member, Policy, RegionSetId};
use crate::geo::{GeoLocator, LocationOverrides};
use crate::https_names::HttpsNames;
use crate::snapshot::Snapshot;
use crate::zone::{ZoneFile, ZoneSet};

const ZONE: &str = "
$TTL 1h
@ SOA ns admin 1 2h 15m 2w 5m
@ NS ns
ns A 192.0.2.53
@ MX 10 mail
mail A 192.0.2.25
mail AAAA 2001:db8::25
text TXT \"a\" \"b\"
*.wild CNAME site
alias CNAME alias2
alias2 CNAME site
loop CNAME loop2
loop2 CNAME loop
out CNAME www.example.org.
deep.ent TXT deep
sub NS ns.sub
sub NS ns.example.net.
sub DS 1 8 2 00
ns.sub A 192.0.2.54
big TXT ";

/// `example.com`, in which edges answer at the apex, at `site` and at `restricted`, and `sub.example.org`. `site` has a certificate, and a
/// challenge. Edges in Frankfurt, New
/// York and Singapore, the last without IPv6, the first alone inside the region restriction. Documentation prefixes located near
/// each.
pub(crate) fn snapshot() -> Snapshot {
    let big = vec![format!("\"{}\"", "x".repeat(250)); 8].join(" ");
    let zones = [
        ("example.com", format!("{ZONE}{big}\n")),
        ("sub.example.org", "$TTL 60\n@ SOA ns.example.net. a 1 2 3 4 5\n@ NS ns.example.net.\n".to_owned()),
    ];
    let zones = zones.map(|(apex, text)| {
        Arc::new(ZoneFile::parse(Path::new(apex), &Name::parse(apex).unwrap(), |_| Ok(text.clone())).unwrap())
    });
    let name = |name: &str, regions| (Name::parse(name).unwrap(), RegionSetId(regions));
    let names = [name("example.com", 0), name("site.example.com", 0), name("restricted.example.com", 1)];
    let edge = |name: &str, location: &str, addresses: &[&str], region: &str| Member {
        name: name.parse().unwrap(),
        state: EdgeState {
            addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
            location: Some(location.parse().unwrap()),
            regions: [region.parse().unwrap()].into(),
            port: 80,
            scheme: None,
            weight: 1,
            force: Force::Auto,
        },
        conditions: Vec::new(),
    };
    let edges = vec![
        edge("fra", "50.11,8.68", &["192.0.2.1", "2001:db8::1"], "eu"),
        edge("nyc", "40.71,-74.01", &["192.0.2.2", "2001:db8::2"], "na"),
        edge("sin", "1.29,103.85", &["192.0.2.3"], "as"),
    ];
    let region_sets: [BTreeSet<_>; 2] = [BTreeSet::new(), ["eu".parse().unwrap()].into()];
    let overrides = [
        ("192.0.2.0/24", "52.52,13.40"),
        ("198.51.100.0/24", "40.71,-74.01"),
        ("203.0.113.0/24", "1.29,103.85"),
        ("2001:db8:3::/48", "1.29,103.85"),
        ("10.1.0.0/16", "1.29,103.85"),
    ];
    let overrides = overrides.map(|(network, location)| (network.parse().unwrap(), location.parse().unwrap()));
    let texts = BTreeSet::from(["one".to_owned(), "two".to_owned()]);
    let challenges = [(Name::parse("_acme-challenge.site.example.com").unwrap(), &texts)];
    let certificate = BTreeSet::from(["site.example.com", "mail.example.com"].map(|name| name.parse().unwrap()));
    Snapshot {
        zone_set: Arc::new(ZoneSet::new(&zones, &names).with_challenges(challenges.into_iter())),
        https_names: Arc::new(HttpsNames::new([certificate].iter())),
        caa: Some(Arc::new(caa::records(&["letsencrypt.org".to_owned(), "ca.example".to_owned()].into()))),
        fleet: Arc::new(Fleet::new(edges, &region_sets, Policy::default())),
        edge_counters: Arc::default(),
        locator: Arc::new(GeoLocator::new(Arc::new(LocationOverrides::new(overrides).unwrap()), None)),
        fleet_is_known: true,
        name_server: "ns-1".into(),
    }
}
