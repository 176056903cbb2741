//! Coordinates in database records.

use std::fmt;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use verge_protocol::GeoPoint;

/// The coordinates of a record. Any value deserializes: one without coordinates is an empty record, never an error.
///
/// | Layout | Used by |
/// |---|---|
/// | `location.latitude`, `location.longitude` | MaxMind, and DB-IP in the same form |
/// | `latitude`, `longitude`, or `lat` and `lng` or `lon` at the top | databases built from CSV: as doubles, floats or text |
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Record {
    latitude: Option<f64>,
    longitude: Option<f64>,
    nested: Option<GeoPoint>,
}

impl Record {
    /// The location, if both coordinates are present and valid. 0,0 stands for an unknown location: no reader lives in
    /// that part of the Atlantic.
    pub(super) fn location(self) -> Option<GeoPoint> {
        let location = || GeoPoint::new(self.latitude?, self.longitude?);
        self.nested.or_else(location).filter(|point| point.latitude() != 0.0 || point.longitude() != 0.0)
    }
}

impl<'de> Deserialize<'de> for Record {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RecordVisitor { nested: false })
    }
}

/// Degrees, as a number or as text.
struct Degrees(Option<f64>);

impl<'de> Deserialize<'de> for Degrees {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DegreesVisitor).map(Self)
    }
}

/// Visitor methods for values that hold no coordinates.
macro_rules! ignore_values {
    ($empty:expr; $($method:ident($type:ty)),*) => {
        $(fn $method<E>(self, _: $type) -> Result<Self::Value, E> {
            Ok($empty)
        })*

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
            while items.next_element::<IgnoredAny>()?.is_some() {}
            Ok($empty)
        }
    };
}

struct RecordVisitor {
    /// Whether it reads the `location` map of a record.
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
                // No layout nests deeper; recursion is bounded.
                "location" if !self.nested => {
                    record.nested = fields.next_value_seed(RecordVisitor { nested: true })?.location();
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

    ignore_values!(Record::default(); visit_bool(bool), visit_i64(i64), visit_u64(u64), visit_u128(u128), visit_f64(f64),
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

    ignore_values!(None; visit_bool(bool), visit_u128(u128), visit_bytes(&[u8]));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn location(json: &str) -> Option<String> {
        serde_json::from_str::<Record>(json).unwrap().location().map(|location| location.to_string())
    }

    #[test]
    fn coordinates_of_every_layout_are_read() {
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
            assert_eq!(location(json).as_deref(), Some(expected), "{json}");
        }
    }

    #[test]
    fn record_without_valid_coordinates_has_no_location() {
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
            assert_eq!(location(json), None, "{json}");
        }
    }
}
