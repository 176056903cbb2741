//! Look-ups against a naive model of RFC 4592.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::catalogue::Catalogue;
use super::super::file::tests::zone;
use super::tests::told;
use crate::dns::name::Name;
use crate::fleet::RegionSetId;

/// What a model zone has at a name, as its labels from the apex down.
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

/// RFC 1034 §4.3.2 as RFC 4592 §3.3 has it, one label after the other, by brute force.
fn model(zone: &BTreeMap<Labels, Kind>, asked: &[&'static str]) -> String {
    let exists = |name: &[&'static str]| name.is_empty() || zone.keys().any(|known| known.starts_with(name));
    let shown = |name: &[&'static str]| match zone.get(name) {
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
            let encloser = &asked[..depth - 1];
            let wildcard = [encloser, &["*"]].concat();
            if exists(&wildcard) {
                return format!("{} {}", at(&wildcard), shown(&wildcard));
            }
            return format!("missing below {}", at(encloser));
        }
    }
    shown(asked).to_owned()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn look_ups_agree_with_a_naive_model(
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
        let catalogue = Catalogue::new(&[Arc::new(zone(&file))], &sites);
        let hidden: Vec<_> = known.iter().filter(|(name, kind)| **kind == Kind::Site && below_cut(name)).collect();
        prop_assert_eq!(catalogue.kept_back.len(), hidden.len());
        for asked in &asked {
            let told = told(&catalogue.zones()[0], &text(asked));
            prop_assert_eq!(told, model(&known, asked), "{} in {:?}", text(asked), known);
        }
    }
}
