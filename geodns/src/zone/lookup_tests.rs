//! Tests of look-ups: by example, and against a naive model of RFC 4592.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use proptest::prelude::*;

use crate::dns::name::Name;
use crate::dns::record::RecordType;
use crate::fleet::RegionSetId;

use super::lookup::{Lookup, ZoneNode};
use super::test_support::zone;
use super::zone_data::Zone;
use super::zone_set::ZoneSet;

const ZONE: &str = "
@ TXT apex
www A 192.0.2.1
* TXT wildcard
deep.ent TXT deep
*.wild CNAME www
x.wild A 192.0.2.2
b.*.star A 192.0.2.3
sub NS ns.sub
sub DS 1 8 2 00
ns.sub A 192.0.2.4
*.sub A 192.0.2.5
lower.sub NS ns.net.
*.alone A 192.0.2.6
";

fn show(wire: &[u8]) -> String {
    Name::from_canonical(wire).to_string().replace("example.com.", "@")
}

/// The answer to a look-up, in short; `@` is the apex.
fn describe(zone: &Zone, name: &str) -> String {
    let types = |node: ZoneNode<'_>| {
        let sets = node.sets.iter().map(|set| set.record_type.to_string());
        sets.chain(node.fleet.map(|region_set| format!("fleet {}", region_set.0))).collect::<Vec<_>>().join(" ")
    };
    match zone.lookup(Name::parse(name).unwrap().wire()) {
        Lookup::Node { node, wildcard: None } => format!("[{}]", types(node)),
        Lookup::Node { node, wildcard: Some(wildcard) } => format!("{} [{}]", show(wildcard), types(node)),
        Lookup::Delegation { cut, servers, node } => {
            assert_eq!(servers.record_type, RecordType::NS);
            format!("to {} [{}]", show(cut), types(node))
        }
        Lookup::NxDomain { closest_encloser } => format!("missing below {}", show(closest_encloser)),
    }
}

#[test]
fn lookup_of_each_kind_of_name_returns_its_answer() {
    let names = ["site", "a.pages", "ent"].map(|site| (format!("{site}.example.com"), RegionSetId(7)));
    let names = names.map(|(name, region_set)| (Name::parse(&name).unwrap(), region_set));
    let zone_set = ZoneSet::new(&[Arc::new(zone(ZONE))], &names);
    let zone = &zone_set.zones()[0];
    for (name, expected) in [
        ("", "[NS SOA TXT]"),
        ("www.", "[A]"),
        // Names are synthesized from a wildcard where the closest encloser is its parent, at any depth below.
        ("nowhere.", "*.@ [TXT]"),
        ("a.b.nowhere.", "*.@ [TXT]"),
        ("*.", "[TXT]"),
        // Any name that exists blocks the wildcard, whatever records it has.
        ("a.www.", "missing below www.@"),
        ("a.*.", "missing below *.@"),
        ("deep.ent.", "[TXT]"),
        ("a.ent.", "missing below ent.@"),
        ("a.deep.ent.", "missing below deep.ent.@"),
        ("wild.", "[]"),
        ("y.wild.", "*.wild.@ [CNAME]"),
        ("z.y.wild.", "*.wild.@ [CNAME]"),
        ("x.wild.", "[A]"),
        ("a.x.wild.", "missing below x.wild.@"),
        ("alone.", "[]"),
        // A wildcard may itself be an empty non-terminal.
        ("star.", "[]"),
        ("a.star.", "*.star.@ []"),
        ("b.a.star.", "*.star.@ []"),
        ("*.star.", "[]"),
        ("b.*.star.", "[A]"),
        // NodeData and below a cut nothing but the cut counts.
        ("sub.", "to sub.@ [NS DS]"),
        ("ns.sub.", "to sub.@ [NS DS]"),
        ("a.sub.", "to sub.@ [NS DS]"),
        ("*.sub.", "to sub.@ [NS DS]"),
        ("lower.sub.", "to sub.@ [NS DS]"),
        ("a.lower.sub.", "to sub.@ [NS DS]"),
        ("site.", "[fleet 7]"),
        ("a.site.", "missing below site.@"),
        ("pages.", "[]"),
        ("b.pages.", "missing below pages.@"),
        ("ent.", "[fleet 7]"),
    ] {
        assert_eq!(describe(zone, &format!("{name}example.com")), expected, "{name}");
    }
    let glue = zone.node(Name::parse("ns.sub.example.com").unwrap().wire()).unwrap();
    assert!(glue.set(RecordType::A).is_some() && glue.set(RecordType::NS).is_none());
}

#[test]
fn lookup_of_the_longest_names_succeeds() {
    let longest = format!("{}example.com", "a.".repeat(121));
    let name = Name::parse(&longest).unwrap();
    assert_eq!(name.wire().len(), Name::MAX);
    let zone_set = ZoneSet::new(&[Arc::new(zone("*.b A 192.0.2.1"))], &[(name.clone(), RegionSetId(1))]);
    let zone = &zone_set.zones()[0];
    assert_eq!(describe(zone, &longest), "[fleet 1]");
    assert_eq!(describe(zone, &longest[2..]), "[]");
    assert_eq!(describe(zone, &format!("b.{}", &longest[2..])), format!("missing below {}@", "a.".repeat(120)));
    assert_eq!(describe(zone, &format!("{}b.example.com", "c.".repeat(120))), "*.b.@ [A]");
}

/// What a model zone has at a name. Names are lists of labels, from the apex down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Address,
    Text,
    Alias,
    Servers,
    Site,
}

type Labels = Vec<&'static str>;

fn labels() -> impl Strategy<Value = Labels> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "*"]), 1..5)
}

fn kinds() -> impl Strategy<Value = Kind> {
    prop::sample::select(vec![Kind::Address, Kind::Text, Kind::Alias, Kind::Servers, Kind::Site])
}

fn text(labels: &[&str]) -> String {
    labels.iter().rev().chain(&["example", "com", ""]).copied().collect::<Vec<_>>().join(".")
}

/// RFC 1034 §4.3.2 as RFC 4592 §3.3 has it, label by label, by brute force.
fn model(zone: &BTreeMap<Labels, Kind>, asked: &[&'static str]) -> String {
    let exists = |name: &[&'static str]| name.is_empty() || zone.keys().any(|known| known.starts_with(name));
    let contents = |name: &[&'static str]| match zone.get(name) {
        Some(Kind::Address) => "[A]",
        Some(Kind::Text) => "[TXT]",
        Some(Kind::Alias) => "[CNAME]",
        Some(Kind::Servers) => "[NS]",
        Some(Kind::Site) => "[fleet 1]",
        None => "[]",
    };
    let at = |name: &[&'static str]| text(name).replace("example.com.", "@");
    for depth in 1..=asked.len() {
        let name = &asked[..depth];
        if zone.get(name) == Some(&Kind::Servers) {
            return format!("to {} [NS]", at(name));
        }
        if !exists(name) {
            let closest_encloser = &asked[..depth - 1];
            let wildcard = [closest_encloser, &["*"]].concat();
            if exists(&wildcard) {
                return format!("{} {}", at(&wildcard), contents(&wildcard));
            }
            return format!("missing below {}", at(closest_encloser));
        }
    }
    contents(asked).to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn lookup_agrees_with_a_naive_model(
        drawn in prop::collection::vec((labels(), kinds()), 0..8),
        asked in prop::collection::vec(labels(), 40),
    ) {
        let mut known = BTreeMap::new();
        for (labels, kind) in drawn {
            let refused = kind == Kind::Servers && labels.last() == Some(&"*");
            if let (Entry::Vacant(entry), false) = (known.entry(labels), refused) {
                entry.insert(kind);
            }
        }
        let below_cut = |name: &Labels| {
            (1..name.len()).any(|depth| known.get(&name[..depth]) == Some(&Kind::Servers))
        };
        let (mut file, mut sites) = (String::new(), Vec::new());
        for (name, kind) in &known {
            let owner = text(name);
            let data = match kind {
                Kind::Address => "A 192.0.2.1",
                Kind::Text => "TXT text",
                Kind::Alias => "CNAME else.net.",
                Kind::Servers => "NS ns.net.",
                Kind::Site => {
                    sites.push((Name::parse(&owner).unwrap(), RegionSetId(1)));
                    continue;
                }
            };
            file.extend([&owner, " ", data, "\n"]);
        }
        let zone_set = ZoneSet::new(&[Arc::new(zone(&file))], &sites);
        let hidden: Vec<_> = known.iter().filter(|(name, kind)| **kind == Kind::Site && below_cut(name)).collect();
        prop_assert_eq!(zone_set.shadowed.len(), hidden.len());
        for asked in &asked {
            let described = describe(&zone_set.zones()[0], &text(asked));
            prop_assert_eq!(described, model(&known, asked), "{} in {:?}", text(asked), known);
        }
    }
}
