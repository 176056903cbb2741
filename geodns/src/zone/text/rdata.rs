//! Encodes record data from its text form into wire format.

use crate::dns::name::Name;
use crate::dns::record::RecordType;

use super::rdata_field::Field;
use super::token::{self, SyntaxError, Token};

/// The fields of the data of a type; `None` if it can only be written as bytes (RFC 3597 §5).
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

/// Encodes the data of a record on `line`. Names in it become lowercase and stay uncompressed. Data of any type may be given as
/// bytes, as `\# <length> <hexadecimal>` (RFC 3597 §5).
pub(super) fn encode(
    record_type: RecordType,
    tokens: &[Token<'_>],
    origin: &Name,
    line: u32,
) -> Result<Box<[u8]>, SyntaxError> {
    let (data, last) = match tokens {
        [mark, tokens @ ..] if mark.is("\\#") => (generic(record_type, tokens, mark)?, mark.line),
        tokens => (from_fields(record_type, tokens, origin, line)?, line),
    };
    if data.len() > usize::from(u16::MAX) {
        return Err(SyntaxError::new(last, format!("{record_type}: the data is longer than 65535 bytes")));
    }
    Ok(data.into())
}

fn from_fields(
    record_type: RecordType,
    mut tokens: &[Token<'_>],
    origin: &Name,
    mut line: u32,
) -> Result<Vec<u8>, SyntaxError> {
    let fields = fields(record_type).ok_or_else(|| {
        SyntaxError::new(line, format!("{record_type} data is not supported as text"))
            .hint("give it as bytes: \\# <length> <hexadecimal> (RFC 3597 §5)")
    })?;
    let mut data = Vec::new();
    for &(label, field) in fields {
        let Some((token, rest)) = tokens.split_first().or((field == Field::Parameters).then_some((&NO_TOKEN, tokens)))
        else {
            return Err(SyntaxError::new(line, format!("{record_type}: missing {label}")));
        };
        let field_tokens = if field.takes_all() { tokens } else { std::slice::from_ref(token) };
        field.encode(token, field_tokens, origin, &mut data).map_err(|mut error| {
            error.message = format!("{record_type} {label}: {}", error.message);
            error
        })?;
        tokens = if field.takes_all() { &[] } else { rest };
        line = field_tokens.last().map_or(line, |token| token.line);
    }
    match tokens {
        [] => Ok(data),
        [token, ..] => Err(SyntaxError::new(token.line, format!("{record_type}: extra input {token}"))
            .hint("put text with blanks in quotes; begin comments with a semicolon")),
    }
}

const NO_TOKEN: Token<'static> = Token { text: "", quoted: false, line: 0 };

/// Encodes `\# <length> <hexadecimal>`. Data of types whose fields are known must consist of them: the names in it are used later.
fn generic(record_type: RecordType, tokens: &[Token<'_>], mark: &Token<'_>) -> Result<Vec<u8>, SyntaxError> {
    let [length, tokens @ ..] = tokens else {
        return Err(SyntaxError::new(mark.line, "missing length after \\#"));
    };
    let length = length.number(u16::MAX.into())?;
    let data = token::hex(tokens).filter(|data| u32::try_from(data.len()) == Ok(length)).ok_or_else(|| {
        SyntaxError::new(mark.line, format!("expected {length} bytes in hexadecimal"))
            .hint("\\# is followed by the number of bytes and twice as many hexadecimal digits")
    })?;
    let Some(fields) = fields(record_type) else { return Ok(data) };
    let (mut rest, mut copy) = (data.as_slice(), Vec::with_capacity(data.len()));
    let copied = fields.iter().try_for_each(|(_, field)| field.copy(&mut rest, &mut copy));
    copied
        .filter(|()| rest.is_empty())
        .map(|()| copy)
        .ok_or_else(|| SyntaxError::new(mark.line, format!("these bytes are not valid {record_type} data")))
}

#[cfg(test)]
mod tests {
    use hickory_proto::rr::Record;
    use hickory_proto::serialize::binary::BinDecodable;

    use super::*;

    fn tokens(text: &str) -> Vec<Token<'_>> {
        let quoted = |token: &'_ str| token.len() > 1 && token.starts_with('"');
        let token = |token| Token { text: str::trim_matches(token, '"'), quoted: quoted(token), line: 1 };
        text.split_whitespace().map(token).collect()
    }

    fn encoded(record_type: RecordType, text: &str) -> Result<Box<[u8]>, SyntaxError> {
        encode(record_type, &tokens(text), &Name::parse("example.com").unwrap(), 1)
    }

    /// What hickory decodes from the bytes.
    fn decoded_by_hickory(record_type: RecordType, data: &[u8]) -> String {
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
    fn encoded_data_is_decoded_by_hickory() {
        for (record_type, text, expected) in RECORDS {
            let data = encoded(*record_type, text).unwrap();
            assert_eq!(&decoded_by_hickory(*record_type, &data), expected, "{record_type} {text}");
        }
    }

    #[test]
    fn data_given_as_bytes_equals_data_given_as_text() {
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
    fn invalid_data_is_an_error_that_names_the_field() {
        for (record_type, text, expected) in [
            (RecordType::A, "192.0.2", "A address: `192.0.2` is not an IPv4 address"),
            (RecordType::A, "192.0.2.1 192.0.2.2", "A: extra input `192.0.2.2`"),
            (RecordType::MX, "mail", "MX preference: `mail` is not a number from 0 to 65535"),
            (RecordType::MX, "10", "MX: missing exchange"),
            (RecordType::TXT, "", "TXT: missing text"),
            (RecordType::CAA, "0 is-sue x", "CAA tag: `is-sue` must consist of letters and digits"),
            (RecordType::TLSA, "3 1 1 0ff", "TLSA certificate: `0ff` is not hexadecimal"),
            (RecordType::LOC, "52 22 N", "LOC data is not supported as text"),
            (RecordType::NS, r"\# 2 c00c", "these bytes are not valid NS data"),
            (RecordType::HTTPS, "1 . moon=1", "HTTPS parameters: `moon=1` is not a known parameter"),
        ] {
            assert_eq!(encoded(record_type, text).unwrap_err().to_string(), expected);
        }
        assert!(encoded(RecordType::TXT, &"a".repeat(256)).is_err());
    }
}
