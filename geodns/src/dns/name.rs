//! Domain names as DNS compares them.

use std::borrow::Borrow;
use std::fmt;

/// A domain name in its canonical wire form: lowercase, uncompressed, each label after its length, the root's empty label last
/// (RFC 1035 §3.1, RFC 4034 §6.2). At most 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(Box<[u8]>);

/// Text that is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// A label of no characters, or of more than 63.
    #[error("`{0}` has a label that is empty or longer than 63 characters")]
    Label(String),
    /// More than 255 bytes on the wire.
    #[error("`{0}` is too long for a domain name")]
    Long(String),
    /// A backslash that begins no escape.
    #[error("`{0}` has a backslash that escapes nothing: expected \\X or \\DDD")]
    Escape(String),
}

impl Name {
    /// The longest there is.
    pub(crate) const MAX: usize = 255;

    /// Reads a name as zone files write it, always taken as absolute: `www.example.com`, with or without the last dot; `.` is
    /// the root. `\.` and `\065` are escapes (RFC 1035 §5.1).
    pub(crate) fn parse(text: &str) -> Result<Self, NameError> {
        let mut wire = Vec::with_capacity(text.len() + 2);
        let mut label = Vec::new();
        let mut bytes = text.bytes();
        let empty = || NameError::Label(text.to_owned());
        if text != "." {
            while let Some(byte) = bytes.next() {
                let byte = match byte {
                    b'.' => {
                        if label.is_empty() {
                            return Err(empty());
                        }
                        push_label(&mut wire, &mut label).ok_or_else(empty)?;
                        continue;
                    }
                    b'\\' => escaped(&mut bytes).ok_or_else(|| NameError::Escape(text.to_owned()))?,
                    byte => byte,
                };
                label.push(byte.to_ascii_lowercase());
            }
            if !label.is_empty() {
                push_label(&mut wire, &mut label).ok_or_else(empty)?;
            }
            if wire.is_empty() {
                return Err(empty());
            }
        }
        wire.push(0);
        if wire.len() > Self::MAX { Err(NameError::Long(text.to_owned())) } else { Ok(Self(wire.into())) }
    }

    /// Takes wire bytes that are a whole, lowercase name.
    pub(crate) fn from_canonical(wire: &[u8]) -> Self {
        debug_assert!(!wire.is_empty() && wire.len() <= Self::MAX && wire.ends_with(&[0]));
        Self(wire.into())
    }

    /// The wire form.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is `ancestor`, or below it.
    pub(crate) fn is_within(&self, ancestor: &Self) -> bool {
        ancestors(&self.0).any(|name| name == &*ancestor.0)
    }

    /// The name with one more label on the left, which must be of at most 63 lowercase bytes; `None` if that is too long.
    pub(crate) fn child(&self, label: &[u8]) -> Option<Self> {
        let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
        let mut wire = Vec::with_capacity(1 + label.len() + self.0.len());
        wire.push(length);
        wire.extend_from_slice(label);
        wire.extend_from_slice(&self.0);
        (wire.len() <= Self::MAX).then(|| Self(wire.into()))
    }
}

fn push_label(wire: &mut Vec<u8>, label: &mut Vec<u8>) -> Option<()> {
    wire.push(u8::try_from(label.len()).ok().filter(|length| *length <= 63)?);
    wire.append(label);
    Some(())
}

/// The byte that an escape stands for, its backslash already taken (RFC 1035 §5.1).
pub(crate) fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// A name and its ancestors, itself first, the root last. `wire` is a whole name.
pub(crate) fn ancestors(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(wire), |name| parent(name))
}

/// The name above; `None` for the root. `wire` is a whole name.
pub(crate) fn parent(wire: &[u8]) -> Option<&[u8]> {
    match usize::from(*wire.first()?) {
        0 => None,
        length => wire.get(1 + length..),
    }
}

/// Writes wire bytes as text with its last dot.
pub(crate) fn write(wire: &[u8], formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
    if wire.len() <= 1 {
        return formatter.write_str(".");
    }
    for name in ancestors(wire) {
        let length = usize::from(name[0]);
        if length == 0 {
            break;
        }
        for &byte in &name[1..=length] {
            match byte {
                b'.' | b'\\' | b'"' | b'(' | b')' | b';' | b'@' | b'$' => {
                    write!(formatter, "\\{}", char::from(byte))?;
                }
                0x21..=0x7e => write!(formatter, "{}", char::from(byte))?,
                _ => write!(formatter, "\\{byte:03}")?,
            }
        }
        formatter.write_str(".")?;
    }
    Ok(())
}

impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(&self.0, formatter)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(&self.0, formatter)
    }
}

/// Maps with names as keys are asked by wire bytes.
impl Borrow<[u8]> for Name {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<&verge_protocol::DomainName> for Name {
    fn from(name: &verge_protocol::DomainName) -> Self {
        Self::parse(name.as_str()).expect("a host's domain name is a domain name")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn text_and_wire() {
        let name = Name::parse("WWW.Example.com").unwrap();
        assert_eq!(name.wire(), b"\x03www\x07example\x03com\x00");
        assert_eq!(name.to_string(), "www.example.com.");
        assert_eq!(Name::parse("www.example.com.").unwrap(), name);
        assert_eq!(Name::parse(".").unwrap().wire(), b"\0");
        assert_eq!(Name::parse(r"a\.b\064.c").unwrap().wire(), b"\x04a.b@\x01c\0");
        assert_eq!(Name::parse(r"a\.b.c").unwrap().to_string(), r"a\.b.c.");
        for bad in
            ["", "..", ".a", "a..b", &"a".repeat(64), &["a".repeat(63).as_str(); 4].join("."), r"a\", r"a\1", r"\999"]
        {
            assert!(Name::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_is_below_its_ancestors() {
        let [www, example, other] =
            ["www.example.com", "example.com", "ample.com"].map(|text| Name::parse(text).unwrap());
        assert!(www.is_within(&example) && www.is_within(&www) && !www.is_within(&other) && !example.is_within(&www));
        assert_eq!(example.child(b"www"), Some(www));
    }

    proptest! {
        #[test]
        fn text_reads_back(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)) {
            let mut wire = Vec::new();
            for label in &labels {
                wire.push(u8::try_from(label.len()).unwrap());
                wire.extend(label.to_ascii_lowercase());
            }
            wire.push(0);
            let name = Name::from_canonical(&wire);
            prop_assert_eq!(Name::parse(&name.to_string()).unwrap(), name);
        }
    }
}
