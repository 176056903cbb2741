//! Record data: from the text of zone files to the bytes on the wire.

mod field;
mod service;
mod word;

pub(crate) use word::{Malformed, Word};

use field::Field;

use super::name::{self, Name};
use super::record::RecordType;

/// What the data of a type is made of; `None` where it can only be written as bytes (RFC 3597 §5).
fn fields(record_type: RecordType) -> Option<&'static [(&'static str, Field)]> {
    use Field::{Base64, Hex, Name, Parameters, Rest, Seconds, Tag, Text, Texts, U8, U16, U32, V4, V6};
    Some(match record_type {
        RecordType::A => &[("address", V4)],
        RecordType::AAAA => &[("address", V6)],
        RecordType::NS | RecordType::CNAME | RecordType::PTR => &[("target", Name)],
        RecordType::SOA => &[
            ("primary server", Name),
            ("mailbox", Name),
            ("serial", U32),
            ("refresh", Seconds),
            ("retry", Seconds),
            ("expire", Seconds),
            ("minimum", Seconds),
        ],
        RecordType::HINFO => &[("CPU", Text), ("OS", Text)],
        RecordType::MX => &[("preference", U16), ("exchange", Name)],
        RecordType::TXT | RecordType::SPF => &[("text", Texts)],
        RecordType::SRV => &[("priority", U16), ("weight", U16), ("port", U16), ("target", Name)],
        RecordType::NAPTR => &[
            ("order", U16),
            ("preference", U16),
            ("flags", Text),
            ("services", Text),
            ("expression", Text),
            ("replacement", Name),
        ],
        RecordType::CERT => &[("type", U16), ("key tag", U16), ("algorithm", U8), ("certificate", Base64)],
        RecordType::DS | RecordType::CDS => {
            &[("key tag", U16), ("algorithm", U8), ("digest type", U8), ("digest", Hex)]
        }
        RecordType::SSHFP => &[("algorithm", U8), ("fingerprint type", U8), ("fingerprint", Hex)],
        RecordType::TLSA | RecordType::SMIMEA => {
            &[("usage", U8), ("selector", U8), ("matching type", U8), ("certificate", Hex)]
        }
        RecordType::OPENPGPKEY => &[("key", Base64)],
        RecordType::SVCB | RecordType::HTTPS => &[("priority", U16), ("target", Name), ("parameters", Parameters)],
        RecordType::URI => &[("priority", U16), ("weight", U16), ("target", Rest)],
        RecordType::CAA => &[("flags", U8), ("tag", Tag), ("value", Rest)],
        _ => return None,
    })
}

/// Encodes the data of a record that a zone file has on `line`; names in it become lowercase and stay uncompressed. `\#` and
/// hexadecimal do for any type (RFC 3597 §5).
pub(crate) fn encode(
    record_type: RecordType,
    words: &[Word<'_>],
    origin: &Name,
    line: u32,
) -> Result<Box<[u8]>, Malformed> {
    let (data, last) = match words {
        [mark, words @ ..] if mark.is("\\#") => (generic(record_type, words, mark)?, mark.line),
        words => (written(record_type, words, origin, line)?, line),
    };
    if data.len() > usize::from(u16::MAX) {
        return Err(Malformed::new(last, format!("{record_type}: the data is longer than 65535 bytes")));
    }
    Ok(data.into())
}

fn written(
    record_type: RecordType,
    mut words: &[Word<'_>],
    origin: &Name,
    mut line: u32,
) -> Result<Vec<u8>, Malformed> {
    let fields = fields(record_type).ok_or_else(|| {
        Malformed::new(line, format!("{record_type} cannot be written as text here"))
            .hint("write its data as bytes: \\# <length> <hexadecimal> (RFC 3597 §5)")
    })?;
    let mut data = Vec::new();
    for &(label, field) in fields {
        let Some((word, rest)) = words.split_first().or((field == Field::Parameters).then_some((&NO_WORD, words)))
        else {
            return Err(Malformed::new(line, format!("{record_type}: the {label} is missing")));
        };
        let taken = if field.takes_all() { words } else { std::slice::from_ref(word) };
        field.encode(word, taken, origin, &mut data).map_err(|mut error| {
            error.text = format!("{record_type} {label}: {}", error.text);
            error
        })?;
        words = if field.takes_all() { &[] } else { rest };
        line = taken.last().map_or(line, |word| word.line);
    }
    match words {
        [] => Ok(data),
        [word, ..] => Err(Malformed::new(word.line, format!("{record_type}: {word} is one word too many"))
            .hint("text that has blanks stands in quotes; a comment begins with a semicolon")),
    }
}

const NO_WORD: Word<'static> = Word { text: "", quoted: false, line: 0 };

/// `\# <length> <hexadecimal>`. Data of types whose fields are known must be made of them: names in it are looked at later.
fn generic(record_type: RecordType, words: &[Word<'_>], mark: &Word<'_>) -> Result<Vec<u8>, Malformed> {
    let [length, words @ ..] = words else {
        return Err(Malformed::new(mark.line, "the length after \\# is missing"));
    };
    let length = length.number(u16::MAX.into())?;
    let data = word::hex(words).filter(|data| u32::try_from(data.len()) == Ok(length)).ok_or_else(|| {
        Malformed::new(mark.line, format!("what follows is not {length} bytes in hexadecimal"))
            .hint("after \\# stand the number of bytes, then twice as many hexadecimal digits")
    })?;
    let Some(fields) = fields(record_type) else { return Ok(data) };
    let (mut rest, mut copy) = (data.as_slice(), Vec::with_capacity(data.len()));
    let whole = fields.iter().try_for_each(|(_, field)| field.copy(&mut rest, &mut copy));
    whole.filter(|()| rest.is_empty()).map(|()| copy).ok_or_else(|| {
        Malformed::new(mark.line, format!("these bytes are not the data of a record of type {record_type}"))
    })
}

/// The name that the data of a record leads to, for the types whose targets are looked up; in wire form. `data` is of that type.
pub(crate) fn target(record_type: RecordType, data: &[u8]) -> Option<&[u8]> {
    let before = match record_type {
        RecordType::NS | RecordType::CNAME | RecordType::PTR => 0,
        RecordType::MX => 2,
        RecordType::SRV => 6,
        RecordType::SVCB | RecordType::HTTPS => {
            let target = data.get(2..)?;
            let after = name::ancestors(target).last()?.len() - 1;
            return target.get(..target.len() - after);
        }
        _ => return None,
    };
    data.get(before..)
}

/// The MINIMUM of an SOA record: how long an answer of "no" may be kept (RFC 2308 §4).
pub(crate) fn soa_minimum(data: &[u8]) -> u32 {
    data.last_chunk().map_or(0, |minimum| u32::from_be_bytes(*minimum))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::serialize::binary::BinDecodable;

    use super::*;

    fn words(text: &str) -> Vec<Word<'_>> {
        let quoted = |word: &'_ str| word.len() > 1 && word.starts_with('"');
        let word = |word| Word { text: str::trim_matches(word, '"'), quoted: quoted(word), line: 1 };
        text.split_whitespace().map(word).collect()
    }

    fn encoded(record_type: RecordType, text: &str) -> Result<Box<[u8]>, Malformed> {
        encode(record_type, &words(text), &Name::parse("example.com").unwrap(), 1)
    }

    /// What hickory reads from the bytes.
    fn read(record_type: RecordType, data: &[u8]) -> String {
        let mut wire = vec![0];
        wire.extend(record_type.0.to_be_bytes());
        wire.extend([0, 1, 0, 0, 0, 0]);
        wire.extend(u16::try_from(data.len()).unwrap().to_be_bytes());
        wire.extend(data);
        Record::from_bytes(&wire).unwrap().data.to_string()
    }

    const RECORDS: &[(RecordType, &str, &str)] = &[
        (RecordType::A, "192.0.2.1", "192.0.2.1"),
        (RecordType::AAAA, "2001:db8::1", "2001:db8::1"),
        (RecordType::NS, "NS1", "ns1.example.com."),
        (RecordType::CNAME, "www.Example.org.", "www.example.org."),
        (RecordType::PTR, "@", "example.com."),
        (
            RecordType::SOA,
            "ns1 admin.example.org. 2024010101 2h 15m 2w 300",
            "ns1.example.com. admin.example.org. 2024010101 7200 900 1209600 300",
        ),
        (RecordType::MX, "10 mail", "10 mail.example.com."),
        (RecordType::MX, "0 .", "0 ."),
        (RecordType::TXT, r#""v=spf1;" -all"#, "v=spf1;-all"),
        (RecordType::SRV, "1 2 5060 sip", "1 2 5060 sip.example.com."),
        (RecordType::CAA, r#"0 issue "ca.example.org""#, r#"0 issue "ca.example.org""#),
        (RecordType::SSHFP, "4 2 00ff 10", "4 2 00ff10"),
        (RecordType::TLSA, "3 1 1 00ff", "3 1 1 00ff"),
        (RecordType::HTTPS, "1 . alpn=h2,h3 port=8443", "1 . alpn=h2,h3, port=8443"),
        (RecordType::SVCB, "0 svc", "0 svc.example.com."),
        (RecordType::OPENPGPKEY, "AAD /", "AAD/"),
        (RecordType::NAPTR, r#"1 2 "u" "E2U+sip" "" sip"#, "1 2 \"u\" \"E2U+sip\" \"\" sip.example.com."),
        (RecordType::HINFO, "VAX UNIX", "VAX UNIX"),
        (RecordType::CERT, "1 2 3 AAD/", "PKIX 2 DSA AAD/"),
    ];

    #[test]
    fn another_library_reads_what_was_written() {
        for (record_type, text, expected) in RECORDS {
            let data = encoded(*record_type, text).unwrap();
            assert_eq!(&read(*record_type, &data), expected, "{record_type} {text}");
        }
    }

    #[test]
    fn bytes_are_as_good_as_text() {
        for (record_type, text, _) in RECORDS {
            let data = encoded(*record_type, text).unwrap();
            let hex = data.iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().concat();
            assert_eq!(encoded(*record_type, &format!(r"\# {} {hex}", data.len())).unwrap(), data, "{record_type}");
            let cut = encoded(*record_type, &format!(r"\# 1 {}", &hex[..2]));
            assert!(*record_type == RecordType::OPENPGPKEY || cut.is_err(), "{record_type}");
        }
        assert_eq!(*encoded(RecordType(65280), r"\# 3 ab CDef").unwrap(), *b"\xab\xcd\xef");
        assert_eq!(*encoded(RecordType(65280), r"\# 0").unwrap(), *b"");
        assert_eq!(*encoded(RecordType::NS, r"\# 4 02417A00").unwrap(), *b"\x02az\0");
        for bad in [r"\#", r"\# 1", r"\# 1 a", r"\# 2 ab", r"\# 65536 ab", "hello"] {
            assert!(encoded(RecordType(65280), bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (record_type, text, expected) in [
            (RecordType::A, "192.0.2", "A address: `192.0.2` is not an IPv4 address"),
            (RecordType::A, "192.0.2.1 192.0.2.2", "A: `192.0.2.2` is one word too many"),
            (RecordType::MX, "mail", "MX preference: `mail` is not a number from 0 to 65535"),
            (RecordType::MX, "10", "MX: the exchange is missing"),
            (RecordType::TXT, "", "TXT: the text is missing"),
            (RecordType::CAA, "0 is-sue x", "CAA tag: `is-sue` is not made of letters and digits"),
            (RecordType::TLSA, "3 1 1 0ff", "TLSA certificate: `0ff` is not hexadecimal"),
            (RecordType::LOC, "52 22 N", "LOC cannot be written as text here"),
            (RecordType::NS, r"\# 2 c00c", "these bytes are not the data of a record of type NS"),
            (RecordType::HTTPS, "1 . moon=1", "HTTPS parameters: `moon=1` is not a parameter that is known"),
        ] {
            assert_eq!(encoded(record_type, text).unwrap_err().to_string(), expected);
        }
        assert!(encoded(RecordType::TXT, &"a".repeat(256)).is_err());
    }

    #[test]
    fn targets_are_found_in_the_data() {
        for (record_type, text, expected) in [
            (RecordType::NS, "ns.", Some("ns.")),
            (RecordType::MX, "1 mail.", Some("mail.")),
            (RecordType::SRV, "1 2 3 sip.", Some("sip.")),
            (RecordType::HTTPS, "1 . port=1", Some(".")),
            (RecordType::SVCB, "0 svc.", Some("svc.")),
            (RecordType::TXT, "text", None),
        ] {
            let data = encoded(record_type, text).unwrap();
            let target = target(record_type, &data).map(|wire| Name::from_canonical(wire).to_string());
            assert_eq!(target.as_deref(), expected, "{record_type}");
        }
        assert_eq!(soa_minimum(&encoded(RecordType::SOA, "a b 1 2 3 4 5m").unwrap()), 300);
    }
}
