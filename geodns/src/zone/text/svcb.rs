//! The parameters of SVCB and HTTPS records (RFC 9460 §2.1).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::token::{self, SyntaxError, Token};

/// The keys, in the order of their numbers (RFC 9460 §14.3.2, RFC 9461, RFC 9540).
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

/// Encodes `key=value` tokens in any order; on the wire keys ascend (RFC 9460 §2.2).
pub(super) fn encode(tokens: &[Token<'_>], into: &mut Vec<u8>) -> Result<(), SyntaxError> {
    let mut parameters = BTreeMap::new();
    for token in tokens {
        let (name, text) = match token.text.split_once('=') {
            Some((name, text)) => (name, Some(text)),
            None => (token.text, None),
        };
        let key = key(name).ok_or_else(|| token.error("is not a known parameter").hint(KEY_HINT))?;
        let text = text.map(|text| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text));
        let value = value(key, text, token)?;
        if parameters.insert(key, (value, token)).is_some() {
            return Err(token.error("is a duplicate parameter"));
        }
    }
    for (key, (value, token)) in &parameters {
        let has = |other: u16| parameters.contains_key(&other);
        let has_required = match *key {
            MANDATORY => value.chunks(2).all(|key| has(u16::from_be_bytes([key[0], key[1]]))),
            NO_DEFAULT_ALPN => has(ALPN),
            _ => true,
        };
        if !has_required {
            return Err(token.error("requires a parameter that is missing (RFC 9460 §7.1.1, §8)"));
        }
        let length = u16::try_from(value.len()).map_err(|_| token.error("is too long"))?;
        into.extend(key.to_be_bytes());
        into.extend(length.to_be_bytes());
        into.extend(value);
    }
    Ok(())
}

/// Whether these are parameters in wire format, with ascending keys.
pub(super) fn is_valid(mut wire: &[u8]) -> bool {
    let mut last = None;
    while let Some((head, rest)) = wire.split_first_chunk::<4>() {
        let key = u16::from_be_bytes([head[0], head[1]]);
        let length = usize::from(u16::from_be_bytes([head[2], head[3]]));
        let Some(rest) = rest.get(length..).filter(|_| last.is_none_or(|last| last < key)) else { return false };
        (wire, last) = (rest, Some(key));
    }
    wire.is_empty()
}

const KEY_HINT: &str = "the parameters are mandatory, alpn, no-default-alpn, port, ipv4hint, ech, ipv6hint, dohpath and ohttp; \
                        others are written as key<number>=<value>";

fn key(name: &str) -> Option<u16> {
    if let Some(known) = KEYS.iter().position(|key| *key == name) {
        return u16::try_from(known).ok();
    }
    let number = name.strip_prefix("key").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    // 65535 is reserved as invalid (RFC 9460 §14.3.2).
    number.parse().ok().filter(|key| *key != u16::MAX)
}

fn value(key: u16, text: Option<&str>, token: &Token<'_>) -> Result<Vec<u8>, SyntaxError> {
    let octets = Token { text: text.unwrap_or_default(), ..*token }.octets()?;
    let by_number = token.text.starts_with("key");
    let known = KEYS.get(usize::from(key)).filter(|_| !by_number);
    let plain = std::str::from_utf8(&octets).ok();
    let read = match (known.copied(), plain) {
        (Some("no-default-alpn" | "ohttp"), _) => text.is_none().then(Vec::new),
        (None, _) | (Some("dohpath"), Some(_)) => Some(octets),
        (Some(_), _) if octets.is_empty() => None,
        (Some("alpn"), _) => protocols(&octets),
        (Some("mandatory"), Some(text)) => mandatory(text),
        (Some("port"), Some(text)) => text.parse::<u16>().ok().map(|port| port.to_be_bytes().to_vec()),
        (Some("ipv4hint"), Some(text)) => list(text, |address: Ipv4Addr| address.octets()),
        (Some("ipv6hint"), Some(text)) => list(text, |address: Ipv6Addr| address.octets()),
        (Some("ech"), Some(text)) => token::base64(&[Token { text, ..*token }]),
        _ => None,
    };
    read.ok_or_else(|| token.error("has an invalid value"))
}

/// Encodes protocol identifiers, which commas separate. A comma within an identifier is escaped twice (RFC 9460 §A.1).
fn protocols(octets: &[u8]) -> Option<Vec<u8>> {
    let mut identifiers = vec![Vec::new()];
    let mut octets = octets.iter();
    while let Some(&octet) = octets.next() {
        match octet {
            b',' => identifiers.push(Vec::new()),
            b'\\' => identifiers.last_mut()?.push(*octets.next()?),
            octet => identifiers.last_mut()?.push(octet),
        }
    }
    let mut wire = Vec::new();
    for identifier in identifiers {
        wire.push(u8::try_from(identifier.len()).ok().filter(|length| *length > 0)?);
        wire.extend(identifier);
    }
    Some(wire)
}

fn mandatory(text: &str) -> Option<Vec<u8>> {
    let mut keys = text.split(',').map(key).collect::<Option<Vec<_>>>()?;
    keys.sort_unstable();
    let has_duplicates = keys.windows(2).any(|pair| pair[0] == pair[1]);
    (!has_duplicates && !keys.contains(&MANDATORY)).then(|| keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

fn list<T: std::str::FromStr, const N: usize>(text: &str, wire: impl Fn(T) -> [u8; N]) -> Option<Vec<u8>> {
    let octets = text.split(',').map(|item| item.parse().ok().map(&wire)).collect::<Option<Vec<_>>>()?;
    Some(octets.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(texts: &[&str]) -> Result<Vec<u8>, String> {
        let tokens: Vec<_> = texts.iter().map(|text| Token { text, quoted: false, line: 1 }).collect();
        let mut wire = Vec::new();
        encode(&tokens, &mut wire).map_err(|error| error.to_string())?;
        assert!(is_valid(&wire), "{texts:?}");
        Ok(wire)
    }

    /// The parameters of the examples of RFC 9460 §D.2.
    #[test]
    fn valid_parameters_of_the_rfc_are_encoded() {
        for (texts, wire) in [
            (&["port=53"][..], &b"\x00\x03\x00\x02\x00\x35"[..]),
            (&["key667=hello"], b"\x02\x9b\x00\x05hello"),
            (&[r#"key667="hello\210qoo""#], b"\x02\x9b\x00\x09hello\xd2qoo"),
            (
                &[r#"ipv6hint="2001:db8::1,2001:db8::53:1""#],
                b"\x00\x06\x00\x20\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\x53\0\x01",
            ),
            (
                &["alpn=h2,h3-19", "mandatory=ipv4hint,alpn", "ipv4hint=192.0.2.1"],
                b"\0\0\0\x04\0\x01\0\x04\0\x01\0\x09\x02h2\x05h3-19\0\x04\0\x04\xc0\0\x02\x01",
            ),
            (&[r#"alpn="f\\\\oo\\,bar,h2""#], b"\0\x01\0\x0c\x08f\\oo,bar\x02h2"),
            (&[r"alpn=f\\\092oo\092,bar,h2"], b"\0\x01\0\x0c\x08f\\oo,bar\x02h2"),
        ] {
            assert_eq!(encoded(texts).unwrap(), wire, "{texts:?}");
        }
    }

    /// Those of §D.3, and others.
    #[test]
    fn invalid_parameters_are_errors() {
        for texts in [
            &["key123=abc", "key123=def"][..],
            &["mandatory"],
            &["alpn"],
            &["port"],
            &["ipv4hint"],
            &["ipv6hint"],
            &["no-default-alpn=abc", "alpn=h2"],
            &["no-default-alpn"],
            &["mandatory=key123"],
            &["mandatory=mandatory"],
            &["mandatory=key123,key123", "key123=abc"],
            &["alpn=h2,,h3"],
            &["port=65536"],
            &["moon=1"],
            &["key65535=1"],
            &["ech=?"],
        ] {
            assert!(encoded(texts).is_err(), "{texts:?}");
        }
        for wire in [&b"\0"[..], b"\0\x03\0\x02\0", b"\0\x03\0\0\0\x03\0\0"] {
            assert!(!is_valid(wire), "{wire:?}");
        }
    }
}
