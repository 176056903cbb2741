//! How publishers of databases spell a record.

use verge_protocol::GeoPoint;

use crate::{Spot, Value};

/// How a publisher spells a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As in City databases of `MaxMind`: nested maps, `location.latitude` and `location.longitude` as doubles, `country.iso_code`,
    /// `continent.code`, `city.names.en`.
    MaxMind,
    /// One flat map, as files made from CSV have it: `latitude`, `longitude`, `country_code`, `continent_code`, `city`.
    Flat(Degrees),
}

/// How a flat record spells latitude and longitude. Publishers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degrees {
    /// 64-bit floating point.
    Double,
    /// 32-bit floating point: what is read back is near, not equal.
    Float,
    /// Decimal text, such as `"50.11"`.
    Text,
}

impl Layout {
    /// The record of a spot. What the spot does not know is left out, and so is a map that would be empty.
    pub fn record(self, spot: &Spot) -> Value {
        match self {
            Self::MaxMind => nested(spot),
            Self::Flat(degrees) => flat(spot, degrees),
        }
    }
}

impl Degrees {
    fn value(self, degrees: f64) -> Value {
        match self {
            Self::Double => Value::Double(degrees),
            #[expect(clippy::cast_possible_truncation, reason = "this layout has no more precision")]
            Self::Float => Value::Float(degrees as f32),
            Self::Text => Value::Text(degrees.to_string()),
        }
    }
}

fn nested(spot: &Spot) -> Value {
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let map = |key: &str, value: Option<Value>| value.map(|value| Value::map([(key, value)]));
    let location = |place: GeoPoint| {
        Value::map([("latitude", Value::Double(place.latitude())), ("longitude", Value::Double(place.longitude()))])
    };
    let parts = [
        ("city", map("names", map("en", text(&spot.city)))),
        ("continent", map("code", text(&spot.continent))),
        ("country", map("iso_code", text(&spot.country))),
        ("location", spot.place.map(location)),
    ];
    Value::map(parts.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

fn flat(spot: &Spot, degrees: Degrees) -> Value {
    let text = |text: &Option<String>| text.clone().map(Value::Text);
    let parts = [
        ("city", text(&spot.city)),
        ("continent_code", text(&spot.continent)),
        ("country_code", text(&spot.country)),
        ("latitude", spot.place.map(|place| degrees.value(place.latitude()))),
        ("longitude", spot.place.map(|place| degrees.value(place.longitude()))),
    ];
    Value::map(parts.into_iter().filter_map(|(key, value)| Some((key, value?))))
}
