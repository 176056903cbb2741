//! Parses an entry of a zone file as a record: owner, TTL, class, type and data.

use crate::dns::name::Name;
use crate::dns::record::RecordType;

use super::lexer::Entry;
use super::rdata;
use super::token::{SyntaxError, Token};

/// What an entry takes from those before it. An included file begins with a copy of its includer's, and its changes end with it.
#[derive(Debug, Clone)]
pub(super) struct Context {
    /// What names without a trailing dot are relative to.
    pub(super) origin: Name,
    /// The owner of entries that begin with a blank.
    pub(super) owner: Owner,
    /// From `$TTL` (RFC 2308 §4).
    pub(super) default_ttl: Option<u32>,
    /// The last explicit one (RFC 1035 §5.1).
    pub(super) last_ttl: Option<u32>,
}

#[derive(Debug, Clone)]
pub(super) enum Owner {
    /// There was no entry yet.
    Unset,
    /// The last one is invalid, which has been reported.
    Invalid,
    Known(Name),
}

/// A record as its entry has it.
#[derive(Debug)]
pub(super) struct RecordEntry {
    pub(super) owner: Name,
    pub(super) record_type: RecordType,
    /// `None` if neither the entry nor the context has one.
    pub(super) ttl: Option<u32>,
    pub(super) data: Box<[u8]>,
}

/// Parses an entry; `None` if it belongs to an owner that is invalid.
pub(super) fn parse(entry: &Entry<'_>, context: &mut Context) -> Result<Option<RecordEntry>, SyntaxError> {
    let mut tokens = entry.tokens.as_slice();
    if !entry.indented {
        let Some((owner, rest)) = tokens.split_first() else { return Ok(None) };
        context.owner = Owner::Invalid;
        context.owner = Owner::Known(owner.name(&context.origin)?);
        tokens = rest;
    }
    let mut ttl = None;
    let (token, record_type) = loop {
        let Some((token, rest)) = tokens.split_first() else {
            let line = entry.tokens.last().map_or(entry.line, |token| token.line);
            return Err(SyntaxError::new(line, "incomplete record: expected a type and data").hint(TYPE_HINT));
        };
        tokens = rest;
        if ttl.is_none() && !token.quoted && token.text.starts_with(|first: char| first.is_ascii_digit()) {
            ttl = Some(token.seconds().map_err(|error| or_misplaced_owner(error, entry))?);
        } else if !is_in(token)? {
            break (token, RecordType::parse(token.text).filter(|_| !token.quoted));
        }
    };
    let Some(record_type) = record_type else {
        return Err(or_misplaced_owner(token.error("is not a known record type").hint(TYPE_HINT), entry));
    };
    check_served(record_type, token)?;
    let data = rdata::encode(record_type, tokens, &context.origin, token.line)?;
    context.last_ttl = ttl.or(context.last_ttl);
    let ttl = ttl.or(context.default_ttl).or(context.last_ttl);
    match &context.owner {
        Owner::Known(owner) => Ok(Some(RecordEntry { owner: owner.clone(), record_type, ttl, data })),
        Owner::Invalid => Ok(None),
        Owner::Unset => Err(SyntaxError::new(entry.line, "no owner name: there is no record above this indented line")),
    }
}

const TYPE_HINT: &str = "a record is <owner> [<ttl>] [IN] <type> <data>; TYPE<number> is any type (RFC 3597 §5)";

/// Explains that `A 192.0.2.1` at the beginning of a line is read as an owner `A`.
fn or_misplaced_owner(error: SyntaxError, entry: &Entry<'_>) -> SyntaxError {
    let looks_like_type = entry.tokens.first().is_some_and(|token| RecordType::parse(token.text).is_some());
    if looks_like_type && !entry.indented {
        return error.hint("indent the line if the record belongs to the owner above");
    }
    error
}

/// Whether it is the class IN. Other classes are errors; ANY is parsed as a type.
fn is_in(token: &Token<'_>) -> Result<bool, SyntaxError> {
    if token.is("IN") || token.is("CLASS1") {
        return Ok(true);
    }
    let generic = token.text.get(..5).is_some_and(|class| class.eq_ignore_ascii_case("CLASS")) && !token.quoted;
    if generic || ["CH", "HS", "CS", "NONE"].iter().any(|class| token.is(class)) {
        return Err(token.error("is not a supported class").hint("only IN is supported"));
    }
    Ok(false)
}

fn check_served(record_type: RecordType, token: &Token<'_>) -> Result<(), SyntaxError> {
    let signed = [RecordType::RRSIG, RecordType::NSEC, RecordType::NSEC3, RecordType::NSEC3PARAM, RecordType::DNSKEY];
    if record_type.is_meta() || record_type == RecordType(0) {
        return Err(token.error("is only used in queries and messages, not in zones (RFC 6895 §3.1)"));
    }
    if signed.contains(&record_type) {
        return Err(token
            .error("is not supported: signed zones (DNSSEC) cannot be served yet")
            .hint("use the zone file as it was before signing"));
    }
    if record_type == RecordType::DNAME {
        return Err(token.error("is not supported yet").hint("a wildcard CNAME often does the same"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zone::text::lexer::Lexer;

    fn parse_all(text: &str) -> Vec<String> {
        let origin = Name::parse("example.com").unwrap();
        let mut context = Context { origin, owner: Owner::Unset, default_ttl: None, last_ttl: None };
        Lexer::new(text)
            .map(|entry| match parse(&entry.unwrap(), &mut context) {
                Ok(Some(RecordEntry { owner, record_type, ttl, data })) => {
                    format!("{owner} {} {record_type} {}", ttl.map_or("-".into(), |ttl| ttl.to_string()), data.len())
                }
                Ok(None) => "nothing".to_owned(),
                Err(error) => error.to_string(),
            })
            .collect()
    }

    #[test]
    fn record_with_ttl_and_class_in_any_order_is_parsed() {
        let text = "a 60 IN A 192.0.2.1\nb in 1h AAAA ::\n A 192.0.2.1\n@ CLASS1 TXT in\n2 30 TXT 60\nin A 192.0.2.1";
        assert_eq!(
            parse_all(text),
            [
                "a.example.com. 60 A 4",
                "b.example.com. 3600 AAAA 16",
                "b.example.com. 3600 A 4",
                "example.com. 3600 TXT 3",
                "2.example.com. 30 TXT 3",
                "in.example.com. 30 A 4",
            ]
        );
        assert_eq!(parse_all("a A 192.0.2.1"), ["a.example.com. - A 4"]);
    }

    #[test]
    fn invalid_owner_is_reported_once() {
        let text = " A 192.0.2.1\na..b A 192.0.2.1\n A 192.0.2.2\n A x\nc 1 A 192.0.2.1";
        assert_eq!(
            parse_all(text),
            [
                "no owner name: there is no record above this indented line",
                "`a..b` has an empty label, or one longer than 63 bytes",
                "nothing",
                "A address: `x` is not an IPv4 address",
                "c.example.com. 1 A 4",
            ]
        );
    }

    #[test]
    fn record_that_cannot_be_served_is_an_error() {
        for (text, expected) in [
            ("a CH TXT x", "`CH` is not a supported class"),
            ("a CLASS3 TXT x", "`CLASS3` is not a supported class"),
            ("a ANY x", "`ANY` is only used in queries and messages, not in zones (RFC 6895 §3.1)"),
            ("a TYPE0 \\# 0", "`TYPE0` is only used in queries and messages, not in zones (RFC 6895 §3.1)"),
            ("a DNSKEY x", "`DNSKEY` is not supported: signed zones (DNSSEC) cannot be served yet"),
            ("a DNAME x", "`DNAME` is not supported yet"),
            ("a IN", "incomplete record: expected a type and data"),
            ("a MOON x", "`MOON` is not a known record type"),
            ("a \"A\" x", "`A` is not a known record type"),
            ("A 192.0.2.1", "`192.0.2.1` is not a valid time"),
        ] {
            assert_eq!(parse_all(text), [expected], "{text}");
        }
    }
}
