//! An entry of a zone file as a record: owner, TTL, class, type and data.

use crate::dns::name::Name;
use crate::dns::rdata::{self, Malformed, Word};
use crate::dns::record::RecordType;

use super::entry::Entry;

/// What an entry takes from those before it. An included file begins with that of its includer, and what it changes ends with it.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// What names without a last dot are below.
    pub(super) origin: Name,
    /// The owner of entries that begin with a blank.
    pub(super) owner: Owner,
    /// From `$TTL` (RFC 2308 §4).
    pub(super) default_ttl: Option<u32>,
    /// The last one an entry stated (RFC 1035 §5.1).
    pub(super) last_ttl: Option<u32>,
}

#[derive(Debug, Clone)]
pub(super) enum Owner {
    /// No entry came yet.
    Nobody,
    /// The last one could not be read, which was said once.
    Lost,
    Known(Name),
}

/// A record as an entry states it.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) owner: Name,
    pub(super) record_type: RecordType,
    /// `None` if nothing says it.
    pub(super) ttl: Option<u32>,
    pub(super) data: Box<[u8]>,
}

/// Reads an entry; `None` if it belongs to an owner that could not be read.
pub(super) fn read(entry: &Entry<'_>, context: &mut Context) -> Result<Option<Line>, Malformed> {
    let mut words = entry.words.as_slice();
    if !entry.indented {
        let Some((owner, rest)) = words.split_first() else { return Ok(None) };
        context.owner = Owner::Lost;
        context.owner = Owner::Known(owner.name(&context.origin)?);
        words = rest;
    }
    let mut ttl = None;
    let (word, record_type) = loop {
        let Some((word, rest)) = words.split_first() else {
            let line = entry.words.last().map_or(entry.line, |word| word.line);
            return Err(Malformed::new(line, "an entry needs a type and data").hint(TYPE_HINT));
        };
        words = rest;
        if ttl.is_none() && !word.quoted && word.text.starts_with(|first: char| first.is_ascii_digit()) {
            ttl = Some(word.seconds().map_err(|error| or_misplaced_owner(error, entry))?);
        } else if !is_in(word)? {
            break (word, RecordType::parse(word.text).filter(|_| !word.quoted));
        }
    };
    let Some(record_type) = record_type else {
        return Err(or_misplaced_owner(word.malformed("is not a type of records").hint(TYPE_HINT), entry));
    };
    check_served(record_type, word)?;
    let data = rdata::encode(record_type, words, &context.origin, word.line)?;
    context.last_ttl = ttl.or(context.last_ttl);
    let ttl = ttl.or(context.default_ttl).or(context.last_ttl);
    match &context.owner {
        Owner::Known(owner) => Ok(Some(Line { owner: owner.clone(), record_type, ttl, data })),
        Owner::Lost => Ok(None),
        Owner::Nobody => Err(Malformed::new(entry.line, "an entry that begins with a blank needs an owner above")),
    }
}

const TYPE_HINT: &str = "an entry is <owner> [<ttl>] [IN] <type> <data>; TYPE<number> names any type (RFC 3597 §5)";

/// `A 192.0.2.1` at the beginning of a line reads as an owner `A`: says so.
fn or_misplaced_owner(error: Malformed, entry: &Entry<'_>) -> Malformed {
    let looks_like_type = entry.words.first().is_some_and(|word| RecordType::parse(word.text).is_some());
    if looks_like_type && !entry.indented {
        return error.hint("an entry for the owner above begins with a blank");
    }
    error
}

/// Whether it is the class that is served; others are errors. ANY is read as a type.
fn is_in(word: &Word<'_>) -> Result<bool, Malformed> {
    if word.is("IN") || word.is("CLASS1") {
        return Ok(true);
    }
    let generic = word.text.get(..5).is_some_and(|class| class.eq_ignore_ascii_case("CLASS")) && !word.quoted;
    if generic || ["CH", "HS", "CS", "NONE"].iter().any(|class| word.is(class)) {
        return Err(word.malformed("is a class that is not served").hint("IN is the only one"));
    }
    Ok(false)
}

fn check_served(record_type: RecordType, word: &Word<'_>) -> Result<(), Malformed> {
    let signed = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3, RecordType::NSEC3PARAM, RecordType::DNSKEY];
    if record_type.is_meta() || record_type == RecordType(0) {
        return Err(word.malformed("stands in questions and messages, never in a zone (RFC 6895 §3.1)"));
    }
    if signed.contains(&record_type) {
        return Err(word
            .malformed("belongs to a signed zone, and those are not served yet")
            .hint("give the zone as it is before it is signed"));
    }
    if record_type == RecordType::DNAME {
        return Err(word.malformed("is not served yet").hint("a wildcard with a CNAME often does"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::entry::Entries;
    use super::*;

    fn lines(text: &str) -> Vec<String> {
        let origin = Name::parse("example.com").unwrap();
        let mut context = Context { origin, owner: Owner::Nobody, default_ttl: None, last_ttl: None };
        Entries::new(text)
            .map(|entry| match read(&entry.unwrap(), &mut context) {
                Ok(Some(Line { owner, record_type, ttl, data })) => {
                    format!("{owner} {} {record_type} {}", ttl.map_or("-".into(), |ttl| ttl.to_string()), data.len())
                }
                Ok(None) => "nothing".to_owned(),
                Err(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn ttl_and_class_come_in_any_order() {
        let text = "a 60 IN A 192.0.2.1\nb in 1h AAAA ::\n A 192.0.2.1\n@ CLASS1 TXT in\n2 30 TXT 60\nin A 192.0.2.1";
        assert_eq!(
            lines(text),
            [
                "a.example.com. 60 A 4",
                "b.example.com. 3600 AAAA 16",
                "b.example.com. 3600 A 4",
                "example.com. 3600 TXT 3",
                "2.example.com. 30 TXT 3",
                "in.example.com. 30 A 4",
            ]
        );
        assert_eq!(lines("a A 192.0.2.1"), ["a.example.com. - A 4"]);
    }

    #[test]
    fn an_owner_that_cannot_be_read_is_said_once() {
        let text = " A 192.0.2.1\na..b A 192.0.2.1\n A 192.0.2.2\n A x\nc 1 A 192.0.2.1";
        assert_eq!(
            lines(text),
            [
                "an entry that begins with a blank needs an owner above",
                "`a..b` has a label that is empty or longer than 63 characters",
                "nothing",
                "A address: `x` is not an IPv4 address",
                "c.example.com. 1 A 4",
            ]
        );
    }

    #[test]
    fn what_cannot_be_served_is_refused() {
        for (text, expected) in [
            ("a CH TXT x", "`CH` is a class that is not served"),
            ("a CLASS3 TXT x", "`CLASS3` is a class that is not served"),
            ("a ANY x", "`ANY` stands in questions and messages, never in a zone (RFC 6895 §3.1)"),
            ("a TYPE0 \\# 0", "`TYPE0` stands in questions and messages, never in a zone (RFC 6895 §3.1)"),
            ("a DNSKEY x", "`DNSKEY` belongs to a signed zone, and those are not served yet"),
            ("a DNAME x", "`DNAME` is not served yet"),
            ("a IN", "an entry needs a type and data"),
            ("a MOON x", "`MOON` is not a type of records"),
            ("a \"A\" x", "`A` is not a type of records"),
            ("A 192.0.2.1", "`192.0.2.1` is not a time"),
        ] {
            assert_eq!(lines(text), [expected], "{text}");
        }
    }
}
