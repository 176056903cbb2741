//! A zone file as names that can be looked up.

use std::io;
use std::path::Path;
use std::sync::Arc;

use foldhash::HashMap;
use foldhash::fast::RandomState;

use crate::dns::name::{self, Name};
use crate::dns::record::{RecordSet, RecordType};

use super::check;
use super::cuts::Cuts;
use super::find::{self, Found, Node, Place};
use super::notice::{Notice, ZoneError};
use super::read;
use super::report::{self, Position, Report};
use super::sets::{self, Draft};

/// A zone as its operator wrote it, found to be sound.
#[derive(Debug)]
pub(crate) struct ZoneFile {
    /// Its name.
    pub(crate) apex: Name,
    /// The file and those it includes, in the order in which they were opened: when one changes, the zone does.
    pub(crate) files: Vec<Arc<Path>>,
    /// What is doubtful. Hundreds become one notice.
    pub(crate) warnings: Vec<Notice>,
    /// Every name that exists, those between too (RFC 8020 §2).
    names: HashMap<Name, Owned>,
}

/// What is at a name that exists.
#[derive(Debug, Default)]
struct Owned {
    /// None at an empty non-terminal.
    sets: Box<[RecordSet]>,
    /// Where each set begins.
    at: Box<[Position]>,
    /// The length of the zone cut that the name is at or below, which its wire form ends with; 0 if the zone has authority.
    cut: u8,
}

impl ZoneFile {
    /// Reads the zone `apex` from `path`, and what it includes; `load` gives the text of a file.
    pub(crate) fn parse(
        path: &Path,
        apex: &Name,
        load: impl FnMut(&Path) -> io::Result<String>,
    ) -> Result<Self, ZoneError> {
        let (records, mut report) = read::read(path, apex, load);
        let drafts = sets::gather(records, &mut report);
        let whole = !report.has_faults();
        check::names(&drafts, apex, &mut report);
        if whole {
            check::completeness(&drafts, apex, &mut report);
        }
        let leads = if whole { check::leads(&drafts, apex) } else { Vec::new() };
        let names = names(drafts, apex, &mut report);
        let mut zone = Self { apex: apex.clone(), files: Vec::new(), warnings: Vec::new(), names };
        check::targets(&leads, &zone, &mut report);
        (zone.files, zone.warnings) = report.finish()?;
        Ok(zone)
    }

    /// What is at `name`, which is the apex or below.
    pub(super) fn find(&self, name: &[u8]) -> Found<'_> {
        find::find(self.apex.wire(), name, |name| self.place(name))
    }

    pub(super) fn place(&self, name: &[u8]) -> Option<Place<'_>> {
        let (name, owned) = self.names.get_key_value(name)?;
        Some(Place { name: name.wire(), node: Node { sets: &owned.sets, fleet: None }, cut: owned.cut.into() })
    }

    /// Says something about the record set of a type, where it begins.
    pub(super) fn notice(&self, name: &[u8], record_type: RecordType, text: String) -> Option<Notice> {
        let owned = self.names.get(name)?;
        let index = owned.sets.iter().position(|set| set.record_type == record_type)?;
        Some(report::notice(&self.files, owned.at[index], text, None))
    }
}

/// The names that exist: those with records and all between them and the apex.
fn names(drafts: Vec<Draft>, apex: &Name, report: &mut Report) -> HashMap<Name, Owned> {
    let cuts = Cuts::of(&drafts, apex);
    let mut names = HashMap::with_capacity_and_hasher(drafts.len(), RandomState::default());
    names.insert(apex.clone(), Owned::default());
    for draft in drafts {
        cuts.warn_of_hidden(&draft, report);
        let cut = cuts.above(&draft.name);
        let between = name::ancestors(draft.name.wire()).skip(1).take_while(|name| name.len() > apex.wire().len());
        for name in between {
            if names.contains_key(name) {
                break;
            }
            let cut = if name.len() < cut.into() { 0 } else { cut };
            names.insert(Name::from_canonical(name), Owned { cut, ..Owned::default() });
        }
        let (sets, at) = draft.sets.into_iter().map(|set| (set.records, set.at[0])).unzip::<_, _, Vec<_>, Vec<_>>();
        names.insert(draft.name, Owned { sets: sets.into(), at: at.into(), cut });
    }
    names
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A zone of one file.
    pub(in crate::zone) fn parse(text: &str) -> Result<ZoneFile, ZoneError> {
        let apex = Name::parse("example.com").unwrap();
        ZoneFile::parse(Path::new("example.com.zone"), &apex, |path| {
            (path == Path::new("example.com.zone"))
                .then(|| text.to_owned())
                .ok_or_else(|| io::ErrorKind::NotFound.into())
        })
    }

    /// Everything a zone must have, before `text`.
    pub(in crate::zone) fn zone(text: &str) -> ZoneFile {
        parse(&format!("$TTL 1h\n@ SOA ns.example.net. admin 1 2h 15m 2w 5m\n@ NS ns.example.net.\n{text}")).unwrap()
    }

    #[test]
    fn every_fault_is_told_with_its_line() {
        let error = parse(include_str!("terrible.zone")).unwrap_err();
        insta::assert_snapshot!(error);
    }

    /// So many different TXT records of `big`.
    fn texts(count: usize) -> String {
        (0..count).map(|number| format!("big TXT {number:0>237}")).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn faults_of_the_whole_zone() {
        let told = |text: &str| parse(text).unwrap_err().to_string();
        let faults = [
            "$TTL 60\nwww A 192.0.2.1",
            "$TTL 60\n@ SOA ns admin 1 2 3 4 5\nds DS 1 8 2 00",
            "@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1",
            "$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\n@ NS www\nsub NS ns.sub\nsub NS ns2.sub\nns2.sub AAAA ::1",
        ];
        insta::assert_snapshot!(faults.map(told).join("\n\n"));
        let long = |count| format!("$TTL 60\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\n{}", texts(count));
        assert!(parse(&long(250)).is_ok());
        let why = "the TXT records of `big.example.com.` take 66500 bytes: no message holds them all";
        assert!(told(&long(266)).contains(why), "{}", told(&long(266)));
        let many = told(&"@ A x\n".repeat(30));
        assert_eq!((many.lines().count(), many.lines().last()), (21, Some("there are more; these were found first")));
        let missing =
            ZoneFile::parse(Path::new("none"), &Name::parse("a").unwrap(), |_| Err(io::ErrorKind::NotFound.into()));
        assert_eq!(missing.unwrap_err().to_string(), "none: cannot read `none`: entity not found");
    }

    #[test]
    fn what_is_doubtful_is_only_warned_of() {
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
        let www = zone.place(Name::parse("www.example.com").unwrap().wire()).unwrap().node;
        assert_eq!(www.set(RecordType::A).map(|set| (set.ttl, set.data.len())), Some((30, 2)));
    }

    #[test]
    fn a_zone_may_be_the_root_or_deep() {
        for apex in [".", "a.b.c.example.com"] {
            let text = "$TTL 1\n@ SOA ns admin 1 2 3 4 5\n@ NS ns\nns A 192.0.2.1\nx.y A 192.0.2.1\n@ MX 1 x.y";
            let zone =
                ZoneFile::parse(Path::new("zone"), &Name::parse(apex).unwrap(), |_| Ok(text.to_owned())).unwrap();
            assert_eq!((zone.names.len(), zone.warnings.len()), (4, 0));
        }
    }

    proptest! {
        #[test]
        fn any_text_is_a_zone_or_told_why(
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
                    prop_assert!(!error.faults.is_empty() && !error.to_string().is_empty());
                }
            }
        }
    }
}
