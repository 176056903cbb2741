//! How publishers of databases lay out a record.

use mmdb_writer::Value;
use verge_protocol::GeoPoint;

/// What a database knows of a network. Every part may be missing, as in real databases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkInfo {
    /// Its coordinates.
    pub location: Option<GeoPoint>,
    /// The ISO 3166-1 code of the country, such as `DE`.
    pub country: Option<String>,
    /// The code of the continent, such as `EU`.
    pub continent: Option<String>,
    /// The English name of the city.
    pub city: Option<String>,
}

/// The layout of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// As in City databases of `MaxMind`: nested maps, `location.latitude` and `location.longitude` as doubles, `country.iso_code`,
    /// `continent.code`, `city.names.en`.
    MaxMind,
    /// One flat map, as in databases made from CSV: `latitude`, `longitude`, `country_code`, `continent_code`, `city`.
    Flat(Degrees),
}

/// The type of latitude and longitude in a flat record. Publishers differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Degrees {
    /// 64-bit floating point.
    Double,
    /// 32-bit floating point: the values read back are approximate.
    Float,
    /// Decimal text, such as `"50.11"`.
    Text,
}

impl Layout {
    /// The record of a network. Unknown parts are left out, and so are maps that would be empty.
    pub fn record(self, info: &NetworkInfo) -> Value {
        match self {
            Self::MaxMind => nested(info),
            Self::Flat(degrees) => flat(info, degrees),
        }
    }
}

impl Degrees {
    fn value(self, degrees: f64) -> Value {
        match self {
            Self::Double => Value::Double(degrees),
            #[expect(clippy::cast_possible_truncation, reason = "this layout has no more precision")]
            Self::Float => Value::Float(degrees as f32),
            Self::Text => Value::String(degrees.to_string()),
        }
    }
}

fn nested(info: &NetworkInfo) -> Value {
    let text = |text: &Option<String>| text.clone().map(Value::String);
    let map = |key: &str, value: Option<Value>| value.map(|value| Value::map([(key, value)]));
    let location = |point: GeoPoint| {
        Value::map([("latitude", Value::Double(point.latitude())), ("longitude", Value::Double(point.longitude()))])
    };
    let parts = [
        ("city", map("names", map("en", text(&info.city)))),
        ("continent", map("code", text(&info.continent))),
        ("country", map("iso_code", text(&info.country))),
        ("location", info.location.map(location)),
    ];
    Value::map(parts.into_iter().filter_map(|(key, value)| Some((key, value?))))
}

fn flat(info: &NetworkInfo, degrees: Degrees) -> Value {
    let text = |text: &Option<String>| text.clone().map(Value::String);
    let parts = [
        ("city", text(&info.city)),
        ("continent_code", text(&info.continent)),
        ("country_code", text(&info.country)),
        ("latitude", info.location.map(|point| degrees.value(point.latitude()))),
        ("longitude", info.location.map(|point| degrees.value(point.longitude()))),
    ];
    Value::map(parts.into_iter().filter_map(|(key, value)| Some((key, value?))))
}
