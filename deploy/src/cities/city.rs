//! A city: its name, location and regions.

use std::collections::BTreeSet;

use verge_protocol::{GeoPoint, Region};

/// A city.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct City {
    pub(super) name: &'static str,
    /// Latitude and longitude, as [`GeoPoint`] reads them.
    pub(super) location: &'static str,
    /// ISO 3166-1 alpha-2, in lowercase.
    pub(super) country: &'static str,
    /// One of `af`, `an`, `as`, `eu`, `na`, `oc`, `sa`.
    pub(super) continent: &'static str,
}

impl City {
    /// Its name.
    pub fn name(self) -> &'static str {
        self.name
    }

    /// Its location, to about a kilometre.
    pub fn location(self) -> GeoPoint {
        self.location.parse().expect("a test parses every line of the table")
    }

    /// Its continent and its country.
    pub fn regions(self) -> BTreeSet<Region> {
        [self.continent, self.country].map(|code| code.parse().expect("a test parses every line of the table")).into()
    }
}
