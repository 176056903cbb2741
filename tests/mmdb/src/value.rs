//! A value of the data section or of the metadata, and its bytes.
//!
//! ```text
//! value   := control (1) · [extended type (1)] · [size (1 to 3)] · payload
//! control := type (3 bits; 0: the next byte is the type less 7) · size (5 bits)
//! size    := below 29 itself; 29, 30, 31: one, two, three bytes follow, counted from 29, 285, 65821
//! ```

/// A value of a record. Keys of a map keep their order.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// UTF-8.
    Text(String),
    /// 64-bit floating point.
    Double(f64),
    /// 32-bit floating point.
    Float(f32),
    /// Unsigned, 16 bits.
    Uint16(u16),
    /// Unsigned, 32 bits.
    Uint32(u32),
    /// Unsigned, 64 bits.
    Uint64(u64),
    /// Values by name.
    Map(Vec<(String, Value)>),
    /// Values in a row.
    Array(Vec<Value>),
}

impl Value {
    /// A map.
    pub fn map<'a>(entries: impl IntoIterator<Item = (&'a str, Self)>) -> Self {
        Self::Map(entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// Text.
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    /// Appends the bytes of the value, written out in full: no pointers.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        self.encode_head(out);
        match self {
            Self::Map(entries) => {
                for (key, value) in entries {
                    encode_text(key, out);
                    value.encode(out);
                }
            }
            Self::Array(values) => values.iter().for_each(|value| value.encode(out)),
            _ => {}
        }
    }

    /// Appends the bytes that come before those of the values within: all there is, except for maps and arrays.
    pub(crate) fn encode_head(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => encode_text(text, out),
            Self::Double(number) => encode_payload(3, &number.to_be_bytes(), out),
            Self::Float(number) => encode_payload(15, &number.to_be_bytes(), out),
            Self::Uint16(number) => encode_payload(5, significant(&number.to_be_bytes()), out),
            Self::Uint32(number) => encode_payload(6, significant(&number.to_be_bytes()), out),
            Self::Uint64(number) => encode_payload(9, significant(&number.to_be_bytes()), out),
            Self::Map(entries) => encode_control(7, entries.len(), out),
            Self::Array(values) => encode_control(11, values.len(), out),
        }
    }
}

/// Appends the bytes of a text, which is also what keys of maps are.
pub(crate) fn encode_text(text: &str, out: &mut Vec<u8>) {
    encode_payload(2, text.as_bytes(), out);
}

/// A big-endian number without its leading zeros.
fn significant(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

fn encode_payload(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    encode_control(kind, payload.len(), out);
    out.extend_from_slice(payload);
}

fn encode_control(kind: u8, size: usize, out: &mut Vec<u8>) {
    let (base, bytes, marker) = match size {
        0..29 => (0, 0, None),
        29..285 => (29, 1, Some(29)),
        285..65_821 => (285, 2, Some(30)),
        _ => (65_821, 3, Some(31)),
    };
    let rest = u32::try_from(size - base).ok().filter(|rest| *rest < 1 << 24).expect("sizes of the format end at 2^24");
    let low = marker.unwrap_or(rest.to_be_bytes()[3]);
    if kind <= 7 {
        out.push(kind << 5 | low);
    } else {
        out.extend_from_slice(&[low, kind - 7]);
    }
    out.extend_from_slice(&rest.to_be_bytes()[4 - bytes..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    #[test]
    fn values_are_spelt_as_the_format_says() {
        for (value, expected) in [
            (Value::text(""), &[0x40][..]),
            (Value::text("DE"), &[0x42, b'D', b'E']),
            (Value::Uint16(0), &[0xa0]),
            (Value::Uint16(28), &[0xa1, 28]),
            (Value::Uint32(0x0102_0304), &[0xc4, 1, 2, 3, 4]),
            (Value::Uint64(256), &[0x02, 0x02, 1, 0]),
            (Value::Float(1.0), &[0x04, 0x08, 0x3f, 0x80, 0, 0]),
            (Value::Double(1.0), &[0x68, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0]),
            (Value::Array(vec![Value::text("a")]), &[0x01, 0x04, 0x41, b'a']),
            (Value::map([("k", Value::text("v"))]), &[0xe1, 0x41, b'k', 0x41, b'v']),
        ] {
            assert_eq!(bytes(&value), expected, "{value:?}");
        }
    }

    #[test]
    fn long_texts_say_their_size_in_more_bytes() {
        for (length, head) in [
            (28, &[0x5c][..]),
            (29, &[0x5d, 0]),
            (284, &[0x5d, 255]),
            (285, &[0x5e, 0, 0]),
            (65_820, &[0x5e, 255, 255]),
            (65_821, &[0x5f, 0, 0, 0]),
            (65_822, &[0x5f, 0, 0, 1]),
        ] {
            let bytes = bytes(&Value::Text("x".repeat(length)));
            assert_eq!(&bytes[..head.len()], head, "{length}");
            assert_eq!(bytes.len(), head.len() + length);
        }
    }
}
