//! TXT records that answer the challenges of certificate authorities (RFC 8555 §8.4).

use std::collections::BTreeSet;

use crate::dns::record::{RecordSet, RecordType};

use super::lookup::ZoneNode;

/// A resolver that has asked before must not answer the authority with what it was told then.
const TTL: u32 = 0;

/// The most bytes in a string of a TXT record (RFC 1035 §3.3).
const STRING_MAX: usize = 255;

/// The TXT records of a name: those of the zone file, if any, and one for each text.
pub(super) fn records(node: Option<ZoneNode<'_>>, texts: &BTreeSet<String>) -> RecordSet {
    let own = node.and_then(|node| node.set(RecordType::TXT));
    let mut data = own.map_or_else(Vec::new, |set| set.data.clone());
    for text in texts {
        let strings = text.as_bytes().chunks(STRING_MAX);
        let wire: Vec<u8> = strings
            .flat_map(|string| {
                std::iter::once(u8::try_from(string.len()).unwrap_or(u8::MAX)).chain(string.iter().copied())
            })
            .collect();
        let wire = wire.into_boxed_slice();
        if !wire.is_empty() && !data.contains(&wire) {
            data.push(wire);
        }
    }
    RecordSet { record_type: RecordType::TXT, ttl: TTL, data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_text_is_a_record_beside_those_of_the_zone_file() {
        let own = [RecordSet { record_type: RecordType::TXT, ttl: 300, data: vec![Box::from(&b"\x03own"[..])] }];
        let node = ZoneNode { sets: &own, fleet: None };
        let texts = ["one", "own", "", &"x".repeat(300)].map(str::to_owned).into();
        let set = records(Some(node), &texts);
        let long = [&[255][..], &[b'x'; 255], &[45], &[b'x'; 45]].concat();
        let expected: [&[u8]; 3] = [b"\x03own", b"\x03one", &long];
        assert_eq!(set.data.iter().map(|data| &**data).collect::<Vec<_>>(), expected);
        assert_eq!((set.record_type, set.ttl), (RecordType::TXT, 0));
        assert!(records(None, &BTreeSet::new()).data.is_empty());
    }
}
