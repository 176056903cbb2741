//! Loading of a zone: a file is parsed, grouped, checked, and indexed by name.

use std::io;
use std::path::Path;

use foldhash::HashMap;
use foldhash::fast::RandomState;

use crate::dns::name::{self, Name};

use super::checks;
use super::cuts::Cuts;
use super::diagnostics::{Diagnostics, ZoneError};
use super::rrsets::{self, OwnerRrsets};
use super::text;
use super::zone_data::{NodeRecords, ZoneFile};

impl ZoneFile {
    /// Loads the zone `apex` from `path` and the files it includes; `load` returns the text of a file.
    pub(crate) fn parse(
        path: &Path,
        apex: &Name,
        load: impl FnMut(&Path) -> io::Result<String>,
    ) -> Result<Self, ZoneError> {
        let (records, mut diagnostics) = text::parse(path, apex, load);
        let owners = rrsets::group(records, &mut diagnostics);
        // Where records could not be read, others only seem to be missing.
        let is_complete = !diagnostics.has_errors();
        checks::names(&owners, apex, &mut diagnostics);
        if is_complete {
            checks::completeness(&owners, apex, &mut diagnostics);
        }
        let references = if is_complete { checks::references(&owners, apex) } else { Vec::new() };
        let names = index(owners, apex, &mut diagnostics);
        let mut zone = Self { apex: apex.clone(), files: Vec::new(), warnings: Vec::new(), names };
        checks::targets(&references, &zone, &mut diagnostics);
        (zone.files, zone.warnings) = diagnostics.finish()?;
        Ok(zone)
    }
}

/// The names that exist: those with records, and all between them and the apex.
fn index(owners: Vec<OwnerRrsets>, apex: &Name, diagnostics: &mut Diagnostics) -> HashMap<Name, NodeRecords> {
    let cuts = Cuts::of(&owners, apex);
    let mut names = HashMap::with_capacity_and_hasher(owners.len(), RandomState::default());
    names.insert(apex.clone(), NodeRecords::default());
    for owner in owners {
        cuts.warn_of_occluded(&owner, diagnostics);
        let cut = cuts.above(&owner.name);
        let between = name::ancestors(owner.name.wire()).skip(1).take_while(|name| name.len() > apex.wire().len());
        for name in between {
            if names.contains_key(name) {
                break;
            }
            let cut = if name.len() < cut.into() { 0 } else { cut };
            names.insert(Name::from_canonical(name), NodeRecords { cut, ..NodeRecords::default() });
        }
        let sets = owner.sets.into_iter().map(|set| (set.records, set.positions[0]));
        let (sets, positions) = sets.unzip::<_, _, Vec<_>, Vec<_>>();
        names.insert(owner.name, NodeRecords { sets: sets.into(), positions: positions.into(), cut });
    }
    names
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dns::record::RecordType;
    use crate::zone::test_support::{parse, zone};

    #[test]
    fn zone_file_with_syntax_errors_reports_each_with_its_line() {
        let error = parse(include_str!("erroneous.zone")).unwrap_err();
        insta::assert_snapshot!(error);
    }

    /// `count` different TXT records of `big`.
    fn txt_records(count: usize) -> String {
        (0..count).map(|number| format!("big TXT {number:0>237}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn zone_with_missing_records_is_rejected() {
        let error = |text: &str| parse(text).unwrap_err().to_string();
        let incomplete = [
            "$TTL 60\nwww A 192.0.2.1",
            "$TTL 60\n@ SOA ns admin 1 2 3 4 5\nds DS 1 8 2 00",
            "@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1",
            "$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\n@ NS www\nsub NS ns.sub\nsub NS ns2.sub\nns2.sub AAAA ::1",
        ];
        insta::assert_snapshot!(incomplete.map(error).join("\n\n"));
        let long =
            |count| format!("$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n{}", txt_records(count));
        assert!(parse(&long(250)).is_ok());
        let expected = "the TXT records of `big.example.com.` take 66500 bytes: too many for a DNS message";
        assert!(error(&long(266)).contains(expected), "{}", error(&long(266)));
        let many = error(&"@ A x\n".repeat(30));
        assert_eq!((many.lines().count(), many.lines().last()), (21, Some("further errors are not shown")));
        let missing =
            ZoneFile::parse(Path::new("none"), &Name::parse("a").unwrap(), |_| Err(io::ErrorKind::NotFound.into()));
        assert_eq!(missing.unwrap_err().to_string(), "none: cannot read `none`: entity not found");
    }

    #[test]
    fn zone_with_doubtful_records_is_loaded_with_warnings() {
        let zone = zone(
            "@ NS ns.example.net.\n\
             @ MX 10 mail\n\
             mail CNAME www\n\
             www 60 A 192.0.2.1\n\
             www 30 A 192.0.2.2\n\
             www.example.com A 192.0.2.1\n\
             alias CNAME www.example.com\n\
             sub NS ns.sub\n\
             sub TXT \"at the cut\"\n\
             ns.sub A 192.0.2.3\n\
             ns.sub TXT \"below the cut\"\n\
             *.wild A 192.0.2.1\n\
             sub2 NS ns.wild\n\
             sub3 NS ns2.sub",
        );
        let warnings: Vec<_> = zone.warnings.iter().map(ToString::to_string).collect();
        insta::assert_snapshot!(warnings.join("\n"));
        let www = zone.entry(Name::parse("www.example.com").unwrap().wire()).unwrap().node;
        assert_eq!(www.set(RecordType::A).map(|set| (set.ttl, set.data.len())), Some((30, 2)));
    }

    #[test]
    fn zone_of_any_depth_is_loaded() {
        for apex in [".", "a.b.c.example.com"] {
            let text = "$TTL 1\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nx.y A 192.0.2.1\n@ MX 1 x.y";
            let zone =
                ZoneFile::parse(Path::new("zone"), &Name::parse(apex).unwrap(), |_| Ok(text.to_owned())).unwrap();
            assert_eq!((zone.names.len(), zone.warnings.len()), (4, 0));
        }
    }

    proptest! {
        #[test]
        fn parse_of_any_text_returns_a_zone_or_errors(
            words in prop::collection::vec(
                prop::sample::select(vec![
                    "@", "a", "b.a", "*", "*.a", " ", "\n", "\n", "\n", "(", ")", "\"", ";", "$TTL", "$ORIGIN", "$INCLUDE",
                    "60", "IN", "SOA", "NS", "A", "CNAME", "DS", "TXT", "HTTPS", "MX", "\\#", "1", "00", "192.0.2.1",
                    "alpn=h2", "ü", "\\",
                    "@ SOA a b 1 2 3 4 5\n", "\n@ NS b.\n", "\n$TTL 1\n", "example.com.", ".",
                ]),
                0..60,
            ),
            soup in ".{0,80}",
        ) {
            for text in [words.join(" "), words.concat(), soup] {
                if let Err(error) = parse(&text) {
                    prop_assert!(!error.errors.is_empty() && !error.to_string().is_empty());
                }
            }
        }
    }
}
