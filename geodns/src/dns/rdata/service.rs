//! The parameters of SVCB and HTTPS records (RFC 9460 §2.1).

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::word::{self, Malformed, Word};

/// Keys by their numbers (RFC 9460 §14.3.2, RFC 9461, RFC 9540).
const KEYS: [&str; 9] =
    ["mandatory", "alpn", "no-default-alpn", "port", "ipv4hint", "ech", "ipv6hint", "dohpath", "ohttp"];
const MANDATORY: u16 = 0;
const ALPN: u16 = 1;
const NO_DEFAULT_ALPN: u16 = 2;

/// Encodes `key=value` words, in any order; on the wire keys ascend (RFC 9460 §2.2).
pub(super) fn encode(words: &[Word<'_>], into: &mut Vec<u8>) -> Result<(), Malformed> {
    let mut parameters = BTreeMap::new();
    for word in words {
        let (name, text) = match word.text.split_once('=') {
            Some((name, text)) => (name, Some(text)),
            None => (word.text, None),
        };
        let key = key(name).ok_or_else(|| word.malformed("is not a parameter that is known").hint(KEY_HINT))?;
        let text = text.map(|text| text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text));
        let value = value(key, text, word)?;
        if parameters.insert(key, (value, word)).is_some() {
            return Err(word.malformed("is a parameter for the second time"));
        }
    }
    for (key, (value, word)) in &parameters {
        let needs = |other: u16| parameters.contains_key(&other);
        let met = match *key {
            MANDATORY => value.chunks(2).all(|key| needs(u16::from_be_bytes([key[0], key[1]]))),
            NO_DEFAULT_ALPN => needs(ALPN),
            _ => true,
        };
        if !met {
            return Err(word.malformed("needs a parameter that is not there (RFC 9460 §7.1.1, §8)"));
        }
        let length = u16::try_from(value.len()).map_err(|_| word.malformed("is too long"))?;
        into.extend(key.to_be_bytes());
        into.extend(length.to_be_bytes());
        into.extend(value);
    }
    Ok(())
}

/// Whether these are parameters as they go on the wire, with ascending keys.
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

const KEY_HINT: &str = "mandatory, alpn, no-default-alpn, port, ipv4hint, ech, ipv6hint, dohpath and ohttp are; any other is \
                        key<number>=<value>";

fn key(name: &str) -> Option<u16> {
    if let Some(known) = KEYS.iter().position(|key| *key == name) {
        return u16::try_from(known).ok();
    }
    let number = name.strip_prefix("key").filter(|number| number.bytes().all(|byte| byte.is_ascii_digit()))?;
    // 65535 is reserved as invalid (RFC 9460 §14.3.2).
    number.parse().ok().filter(|key| *key != u16::MAX)
}

fn value(key: u16, text: Option<&str>, word: &Word<'_>) -> Result<Vec<u8>, Malformed> {
    let octets = Word { text: text.unwrap_or_default(), ..*word }.octets()?;
    let by_number = word.text.starts_with("key");
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
        (Some("ech"), Some(text)) => word::base64(&[Word { text, ..*word }]),
        _ => None,
    };
    read.ok_or_else(|| word.malformed("has no value that fits its key"))
}

/// A comma between identifiers parts them; one inside is escaped a second time (RFC 9460 §A.1).
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
    let alike = keys.windows(2).any(|pair| pair[0] == pair[1]);
    (!alike && !keys.contains(&MANDATORY)).then(|| keys.iter().flat_map(|key| key.to_be_bytes()).collect())
}

fn list<T: std::str::FromStr, const N: usize>(text: &str, wire: impl Fn(T) -> [u8; N]) -> Option<Vec<u8>> {
    let octets = text.split(',').map(|item| item.parse().ok().map(&wire)).collect::<Option<Vec<_>>>()?;
    Some(octets.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(texts: &[&str]) -> Result<Vec<u8>, String> {
        let words: Vec<_> = texts.iter().map(|text| Word { text, quoted: false, line: 1 }).collect();
        let mut wire = Vec::new();
        encode(&words, &mut wire).map_err(|error| error.to_string())?;
        assert!(is_valid(&wire), "{texts:?}");
        Ok(wire)
    }

    /// The examples of RFC 9460 §D.2, their parameters only.
    #[test]
    fn the_examples_of_the_rfc() {
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

    /// Those of §D.3, and more.
    #[test]
    fn what_does_not_fit_is_refused() {
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
