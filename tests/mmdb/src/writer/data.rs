//! The data section: every value once.

use std::collections::HashMap;

use crate::Value;

/// The data section, as it grows. A value that was written before, or is part of one that was, is pointed at.
#[derive(Debug, Default)]
pub(super) struct Data {
    bytes: Vec<u8>,
    /// Where a value is, by its bytes without pointers.
    places: HashMap<Vec<u8>, usize>,
}

impl Data {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Where the value is, written now if need be.
    pub(super) fn place(&mut self, value: &Value) -> usize {
        let mut whole = Vec::new();
        value.encode(&mut whole);
        self.places.get(&whole).copied().unwrap_or_else(|| self.write(whole, value))
    }

    fn write(&mut self, whole: Vec<u8>, value: &Value) -> usize {
        let place = self.bytes.len();
        self.places.insert(whole, place);
        value.encode_head(&mut self.bytes);
        match value {
            Value::Map(entries) => {
                for (key, value) in entries {
                    self.part(&Value::text(key));
                    self.part(value);
                }
            }
            Value::Array(values) => values.iter().for_each(|value| self.part(value)),
            _ => {}
        }
        place
    }

    /// Writes a value that is part of another, or a pointer to it where that is shorter.
    fn part(&mut self, value: &Value) {
        let mut whole = Vec::new();
        value.encode(&mut whole);
        match self.places.get(&whole).map(|place| pointer(*place)) {
            Some(pointer) if pointer.len() < whole.len() => self.bytes.extend_from_slice(&pointer),
            Some(_) => self.bytes.extend_from_slice(&whole),
            None => {
                self.write(whole, value);
            }
        }
    }
}

/// A pointer: type 1, two bits for its size, then the place, counted from where the smaller sizes end.
fn pointer(place: usize) -> Vec<u8> {
    const ENDS: [u32; 3] = [1 << 11, (1 << 11) + (1 << 19), (1 << 11) + (1 << 19) + (1 << 27)];
    let place = u32::try_from(place).expect("a record cannot point past 2^32 either");
    let control = |size: u8, high: u8| 1 << 5 | size << 3 | high;
    match place {
        _ if place < ENDS[0] => {
            let [.., high, low] = place.to_be_bytes();
            vec![control(0, high), low]
        }
        _ if place < ENDS[1] => {
            let [_, high, low @ ..] = (place - ENDS[0]).to_be_bytes();
            [&[control(1, high)], &low[..]].concat()
        }
        _ if place < ENDS[2] => {
            let [high, low @ ..] = (place - ENDS[1]).to_be_bytes();
            [&[control(2, high)], &low[..]].concat()
        }
        _ => [&[control(3, 0)], &place.to_be_bytes()[..]].concat(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_are_spelt_as_the_format_says() {
        for (place, expected) in [
            (0, &[0x20, 0][..]),
            (0x7ff, &[0x27, 0xff]),
            (0x800, &[0x28, 0, 0]),
            (526_335, &[0x2f, 0xff, 0xff]),
            (526_336, &[0x30, 0, 0, 0]),
            (134_744_063, &[0x37, 0xff, 0xff, 0xff]),
            (134_744_064, &[0x38, 0x08, 0x08, 0x08, 0x00]),
        ] {
            assert_eq!(pointer(place), expected, "{place}");
        }
    }

    #[test]
    fn what_was_written_is_pointed_at() {
        let mut data = Data::default();
        let germany = || Value::map([("iso_code", Value::text("DE"))]);
        let record = |city: &str| Value::map([("city", Value::text(city)), ("country", germany())]);
        assert_eq!(data.place(&record("Berlin")), 0);
        let one = data.bytes().len();
        assert_eq!(data.place(&record("Bremen")), one);
        // A map of two, two keys, a name, a country: only the name is written out.
        assert_eq!(data.bytes().len() - one, 1 + 2 + 7 + 2 + 2);
        assert_eq!(data.place(&record("Berlin")), 0);
        assert!(data.place(&germany()) < one);
    }
}
