//! Geographic coordinates.

use std::fmt;
use std::str::FromStr;

use crate::serde_text::serde_as_text;

/// A point on earth, in degrees of latitude and longitude, positive to the north and east. Its text form is `50.11,8.68`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GeoPoint {
    latitude: f64,
    longitude: f64,
}

/// The text is not a pair of coordinates.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "invalid location `{0}`: expected degrees of latitude, from -90 to 90, and longitude, from -180 to 180, such as 50.11,8.68"
)]
pub struct GeoPointError(String);

impl GeoPoint {
    /// Mean radius of the earth, in kilometres (IUGG).
    const EARTH_KM: f64 = 6371.0088;

    /// `None` unless `latitude` is from -90 to 90 and `longitude` from -180 to 180.
    pub fn new(latitude: f64, longitude: f64) -> Option<Self> {
        let inside = (-90.0..=90.0).contains(&latitude) && (-180.0..=180.0).contains(&longitude);
        inside.then_some(Self { latitude, longitude })
    }

    /// Degrees north of the equator.
    pub fn latitude(self) -> f64 {
        self.latitude
    }

    /// Degrees east of Greenwich.
    pub fn longitude(self) -> f64 {
        self.longitude
    }

    /// Great-circle distance in kilometres, by the haversine formula.
    pub fn kilometres_to(self, other: Self) -> f64 {
        let (from, to) = (self.latitude.to_radians(), other.latitude.to_radians());
        let across = ((to - from) / 2.0).sin().powi(2)
            + from.cos() * to.cos() * ((other.longitude - self.longitude).to_radians() / 2.0).sin().powi(2);
        2.0 * Self::EARTH_KM * across.sqrt().min(1.0).asin()
    }
}

impl FromStr for GeoPoint {
    type Err = GeoPointError;

    fn from_str(text: &str) -> Result<Self, GeoPointError> {
        let number = |text: &str| text.trim().parse().ok();
        text.split_once(',')
            .and_then(|(latitude, longitude)| Self::new(number(latitude)?, number(longitude)?))
            .ok_or_else(|| GeoPointError(text.to_owned()))
    }
}

impl fmt::Display for GeoPoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{},{}", self.latitude, self.longitude)
    }
}

serde_as_text!(GeoPoint);

#[cfg(test)]
mod tests {
    use super::*;

    fn point(text: &str) -> GeoPoint {
        text.parse().unwrap()
    }

    #[test]
    fn distance_matches_known_values() {
        for (from, to, km) in [
            ("50.11,8.68", "40.71,-74.01", 6200.0),  // Frankfurt, New York
            ("1.29,103.85", "35.68,139.65", 5310.0), // Singapore, Tokyo
            ("0,179", "0,-179", 222.0),              // across the date line
            ("90,0", "-90,0", 20015.0),
            ("50.11,8.68", "50.11,8.68", 0.0),
        ] {
            let distance = point(from).kilometres_to(point(to));
            assert!((distance - km).abs() <= km * 0.005, "{from} {to}: {distance}");
        }
    }

    #[test]
    fn location_out_of_range_is_rejected() {
        assert_eq!(point("-33.9, 151.2").to_string(), "-33.9,151.2");
        for bad in ["", "1", "91,0", "0,181", "NaN,0", "0,inf", "a,b", "1,2,3"] {
            let error = bad.parse::<GeoPoint>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("invalid location `{bad}`")) && error.contains("from -180 to 180"),
                "{error}"
            );
        }
    }
}
