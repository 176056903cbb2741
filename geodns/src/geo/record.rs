//! Coordinates in the records of databases.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use verge_protocol::GeoPoint;

/// What a record says of a place. Read from anything: a record without coordinates is an empty one, never an error.
///
/// | Layout | Where it is met |
/// |---|---|
/// | `location.latitude`, `location.longitude` | MaxMind, and DB-IP in the same form |
/// | `latitude`, `longitude`, or `lat` and `lng` or `lon` at the top | databases made from tables: as doubles, floats or text |
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Record {
    latitude: Option<f64>,
    longitude: Option<f64>,
    nested: Option<GeoPoint>,
}

impl Record {
    /// The place, if both coordinates are there and on earth. 0,0 is what tables say when they do not know: no reader lives in
    /// that part of the Atlantic.
    pub(super) fn place(self) -> Option<GeoPoint> {
        let place = || GeoPoint::new(self.latitude?, self.longitude?);
        self.nested.or_else(place).filter(|place| place.latitude() != 0.0 || place.longitude() != 0.0)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor { nested: false })
    }
}

/// The degrees in a field, whatever it is made of.
struct Degrees(Option<f64>);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DegreesVisitor).map(Self)
    }
}

/// What both visitors make of values that say nothing: nothing.
macro_rules! nothing_from {
    ($nothing:expr; $($method:ident($type:ty)),*) => {
        $(fn $method<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok($nothing)
        })*

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($nothing)
        }
    };
}

struct RecordVisitor {
    /// Whether it reads what lies in a record.
    nested: bool,
}

impl<'de> DeserializeSeed<'de> for RecordVisitor {
    type Value = Record;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Record, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for RecordVisitor {
    type Value = Record;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a record")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Record, A::Error> {
        let mut record = Record::default();
        while let Some(field) = fields.next_key::<&str>()? {
            match field {
                // What lies deeper is no layout, and nobody's stack is to follow it.
                "location" if !self.nested => {
                    record.nested = fields.next_value_seed(RecordVisitor { nested: true })?.place();
                }
                "latitude" | "lat" => record.latitude = fields.next_value::<Degrees>()?.0,
                "longitude" | "lon" | "lng" => record.longitude = fields.next_value::<Degrees>()?.0,
                _ => {
                    fields.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(record)
    }

    nothing_from!(Record::default(); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_u128(u128), visit_f64(f64),
        visit_str(&str), visit_bytes(&[u8]));
}

struct DegreesVisitor;

impl<'de> Visitor<'de> for DegreesVisitor {
    type Value = Option<f64>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("degrees")
    }

    fn visit_f64<E>(self, degrees: f64) -> Result<Self::Value, E> {
        Ok(Some(degrees))
    }

    fn visit_i64<E>(self, degrees: i64) -> Result<Self::Value, E> {
        Ok(i32::try_from(degrees).ok().map(f64::from))
    }

    fn visit_u64<E>(self, degrees: u64) -> Result<Self::Value, E> {
        Ok(u32::try_from(degrees).ok().map(f64::from))
    }

    fn visit_str<E>(self, degrees: &str) -> Result<Self::Value, E> {
        Ok(degrees.trim().parse().ok())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        while fields.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(None)
    }

    nothing_from!(None; visit_bool(bool), visit_u128(u128), visit_bytes(&[u8]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(json: &str) -> Option<String> {
        serde_json::from_str::<Record>(json).unwrap().place().map(|place| place.to_string())
    }

    #[test]
    fn coordinates_in_every_layout() {
        for (json, expected) in [
            (r#"{"city":{"names":{"en":"Frankfurt"}},"location":{"latitude":50.11,"longitude":8.68}}"#, "50.11,8.68"),
            (r#"{"latitude":50.11,"longitude":8.68,"country":"DE"}"#, "50.11,8.68"),
            (r#"{"latitude":"50.11","longitude":" 8.68"}"#, "50.11,8.68"),
            (r#"{"lat":-33,"lng":"151.2"}"#, "-33,151.2"),
            (r#"{"lat":1.5,"lon":2}"#, "1.5,2"),
            (r#"{"location":{"latitude":1,"longitude":2},"latitude":3,"longitude":4}"#, "1,2"),
            (r#"{"location":"Frankfurt","latitude":3,"longitude":4}"#, "3,4"),
            (r#"{"location":{"latitude":1},"latitude":3,"longitude":4}"#, "3,4"),
            (r#"{"location":{"location":{"latitude":1,"longitude":2}},"latitude":3,"longitude":4}"#, "3,4"),
        ] {
            assert_eq!(place(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn records_without_a_place() {
        for json in [
            "{}",
            "[1,[2]]",
            "true",
            r#""text""#,
            r#"{"country":{"iso_code":"DE"}}"#,
            r#"{"latitude":50.11}"#,
            r#"{"latitude":50.11,"lng":{"degrees":8.68}}"#,
            r#"{"latitude":[50.11],"longitude":false}"#,
            r#"{"latitude":91,"longitude":8.68}"#,
            r#"{"latitude":"NaN","longitude":"8.68"}"#,
            r#"{"latitude":"-","longitude":"-"}"#,
            r#"{"latitude":"0.000000","longitude":0}"#,
        ] {
            assert_eq!(place(json), None, "{json}");
        }
    }
}
