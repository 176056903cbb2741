//! Domain names in canonical wire form.

use std::borrow::Borrow;
use std::fmt;

/// A domain name in canonical wire form: lowercase, uncompressed, each label preceded by its length, the root's empty label last
/// (RFC 1035 §3.1, RFC 4034 §6.2). At most 255 bytes.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Name(Box<[u8]>);

/// Why a text is not a domain name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    /// A label is empty, or longer than 63 bytes.
    #[error("`{0}` has an empty label, or one longer than 63 bytes")]
    Label(String),
    /// More than 255 bytes on the wire.
    #[error("`{0}` is too long for a domain name")]
    Long(String),
    /// A backslash does not begin a valid escape.
    #[error("`{0}` contains an invalid escape: expected \\X or \\DDD")]
    Escape(String),
}

impl Name {
    /// The most bytes of a name.
    pub(crate) const MAX: usize = 255;

    /// Parses a name in the text form of zone files, as absolute with or without a trailing dot: `www.example.com`; `.` is the
    /// root. `\.` and `\065` are escapes (RFC 1035 §5.1).
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

    /// `wire` must be a complete name in canonical wire form.
    pub(crate) fn from_canonical(wire: &[u8]) -> Self {
        debug_assert!(!wire.is_empty() && wire.len() <= Self::MAX && wire.ends_with(&[0]));
        Self(wire.into())
    }

    /// The canonical wire form.
    pub(crate) fn wire(&self) -> &[u8] {
        &self.0
    }

    /// Whether it is `ancestor` or below it.
    pub(crate) fn is_within(&self, ancestor: &Self) -> bool {
        ancestors(&self.0).any(|name| name == &*ancestor.0)
    }

    /// The name with `label`, in lowercase, to its left; `None` if the label is empty or the label or the name is too long.
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

/// Decodes an escape, of which the backslash has been read (RFC 1035 §5.1).
pub(crate) fn escaped(bytes: &mut std::str::Bytes<'_>) -> Option<u8> {
    let first = bytes.next()?;
    if !first.is_ascii_digit() {
        return Some(first);
    }
    let digits = [first, bytes.next()?, bytes.next()?];
    std::str::from_utf8(&digits).ok()?.parse().ok()
}

/// A name and its ancestors, from itself to the root. `wire` is a complete name.
pub(crate) fn ancestors(wire: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::successors(Some(wire), |name| parent(name))
}

/// The parent of a name; `None` for the root. `wire` is a complete name.
pub(crate) fn parent(wire: &[u8]) -> Option<&[u8]> {
    match usize::from(*wire.first()?) {
        0 => None,
        length => wire.get(1 + length..),
    }
}

/// As in zone files, with a trailing dot.
impl fmt::Display for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.len() == 1 {
            return formatter.write_str(".");
        }
        for name in ancestors(&self.0).take_while(|name| name.len() > 1) {
            for &byte in &name[1..=usize::from(name[0])] {
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
}

impl fmt::Debug for Name {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// Lets maps with names as keys be queried by wire form.
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
    fn name_is_parsed_into_wire_form_and_displayed() {
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
    fn name_is_within_itself_and_its_ancestors() {
        let [www, example, other] =
            ["www.example.com", "example.com", "ample.com"].map(|text| Name::parse(text).unwrap());
        assert!(www.is_within(&example) && www.is_within(&www) && !www.is_within(&other) && !example.is_within(&www));
        assert_eq!(example.child(b"www"), Some(www));
    }

    proptest! {
        #[test]
        fn displayed_name_is_parsed_as_the_same_name(labels in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..20), 0..8)) {
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
