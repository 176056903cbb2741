//! Real cities, as locations of networks.

use verge_protocol::GeoPoint;

use crate::NetworkInfo;

/// A city.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct City {
    /// Its English name; unique in [`CITIES`].
    pub name: &'static str,
    /// The ISO 3166-1 code of its country.
    pub country: &'static str,
    /// The code of its continent.
    pub continent: &'static str,
    /// Degrees north.
    pub latitude: f64,
    /// Degrees east.
    pub longitude: f64,
}

impl City {
    /// The city of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        CITIES.iter().find(|city| city.name == name)
    }

    /// Its location.
    pub fn location(&self) -> GeoPoint {
        GeoPoint::new(self.latitude, self.longitude).expect("cities are on earth")
    }

    /// What a database knows of a network in this city.
    pub fn info(&self) -> NetworkInfo {
        NetworkInfo {
            location: Some(self.location()),
            country: Some(self.country.to_owned()),
            continent: Some(self.continent.to_owned()),
            city: Some(self.name.to_owned()),
        }
    }
}

const fn city(
    name: &'static str,
    country: &'static str,
    continent: &'static str,
    latitude: f64,
    longitude: f64,
) -> City {
    City { name, country, continent, latitude, longitude }
}

/// Cities of every inhabited continent.
pub const CITIES: &[City] = &[
    city("Frankfurt", "DE", "EU", 50.11, 8.68),
    city("Berlin", "DE", "EU", 52.52, 13.41),
    city("Munich", "DE", "EU", 48.14, 11.58),
    city("London", "GB", "EU", 51.51, -0.13),
    city("Manchester", "GB", "EU", 53.48, -2.24),
    city("Edinburgh", "GB", "EU", 55.95, -3.19),
    city("Dublin", "IE", "EU", 53.35, -6.26),
    city("Paris", "FR", "EU", 48.86, 2.35),
    city("Marseille", "FR", "EU", 43.3, 5.37),
    city("Amsterdam", "NL", "EU", 52.37, 4.9),
    city("Brussels", "BE", "EU", 50.85, 4.35),
    city("Zurich", "CH", "EU", 47.38, 8.54),
    city("Vienna", "AT", "EU", 48.21, 16.37),
    city("Prague", "CZ", "EU", 50.08, 14.44),
    city("Warsaw", "PL", "EU", 52.23, 21.01),
    city("Budapest", "HU", "EU", 47.5, 19.04),
    city("Madrid", "ES", "EU", 40.42, -3.7),
    city("Barcelona", "ES", "EU", 41.39, 2.17),
    city("Lisbon", "PT", "EU", 38.72, -9.14),
    city("Rome", "IT", "EU", 41.9, 12.5),
    city("Milan", "IT", "EU", 45.46, 9.19),
    city("Athens", "GR", "EU", 37.98, 23.73),
    city("Stockholm", "SE", "EU", 59.33, 18.07),
    city("Oslo", "NO", "EU", 59.91, 10.75),
    city("Copenhagen", "DK", "EU", 55.68, 12.57),
    city("Helsinki", "FI", "EU", 60.17, 24.94),
    city("Riga", "LV", "EU", 56.95, 24.11),
    city("Kyiv", "UA", "EU", 50.45, 30.52),
    city("Bucharest", "RO", "EU", 44.43, 26.1),
    city("Sofia", "BG", "EU", 42.7, 23.32),
    city("Belgrade", "RS", "EU", 44.79, 20.45),
    city("Reykjavík", "IS", "EU", 64.15, -21.94),
    city("Moscow", "RU", "EU", 55.76, 37.62),
    city("Novosibirsk", "RU", "EU", 55.03, 82.92),
    city("Vladivostok", "RU", "EU", 43.12, 131.89),
    city("Istanbul", "TR", "AS", 41.01, 28.98),
    city("Ankara", "TR", "AS", 39.93, 32.86),
    city("Tel Aviv", "IL", "AS", 32.09, 34.78),
    city("Riyadh", "SA", "AS", 24.71, 46.68),
    city("Dubai", "AE", "AS", 25.2, 55.27),
    city("Doha", "QA", "AS", 25.29, 51.53),
    city("Tehran", "IR", "AS", 35.69, 51.39),
    city("Baghdad", "IQ", "AS", 33.31, 44.37),
    city("Almaty", "KZ", "AS", 43.24, 76.89),
    city("Tashkent", "UZ", "AS", 41.3, 69.24),
    city("Karachi", "PK", "AS", 24.86, 67.0),
    city("Lahore", "PK", "AS", 31.55, 74.34),
    city("Mumbai", "IN", "AS", 19.08, 72.88),
    city("Delhi", "IN", "AS", 28.7, 77.1),
    city("Bengaluru", "IN", "AS", 12.97, 77.59),
    city("Chennai", "IN", "AS", 13.08, 80.27),
    city("Colombo", "LK", "AS", 6.93, 79.86),
    city("Dhaka", "BD", "AS", 23.81, 90.41),
    city("Kathmandu", "NP", "AS", 27.72, 85.32),
    city("Bangkok", "TH", "AS", 13.76, 100.5),
    city("Hanoi", "VN", "AS", 21.03, 105.85),
    city("Ho Chi Minh City", "VN", "AS", 10.82, 106.63),
    city("Kuala Lumpur", "MY", "AS", 3.15, 101.69),
    city("Singapore", "SG", "AS", 1.29, 103.85),
    city("Jakarta", "ID", "AS", -6.21, 106.85),
    city("Manila", "PH", "AS", 14.6, 120.98),
    city("Hong Kong", "HK", "AS", 22.32, 114.17),
    city("Taipei", "TW", "AS", 25.03, 121.57),
    city("Shanghai", "CN", "AS", 31.23, 121.47),
    city("Beijing", "CN", "AS", 39.9, 116.41),
    city("Guangzhou", "CN", "AS", 23.13, 113.26),
    city("Chengdu", "CN", "AS", 30.57, 104.07),
    city("Seoul", "KR", "AS", 37.57, 126.98),
    city("Busan", "KR", "AS", 35.18, 129.08),
    city("Tokyo", "JP", "AS", 35.68, 139.65),
    city("Osaka", "JP", "AS", 34.69, 135.5),
    city("Sapporo", "JP", "AS", 43.06, 141.35),
    city("Sydney", "AU", "OC", -33.87, 151.21),
    city("Melbourne", "AU", "OC", -37.81, 144.96),
    city("Perth", "AU", "OC", -31.95, 115.86),
    city("Brisbane", "AU", "OC", -27.47, 153.03),
    city("Auckland", "NZ", "OC", -36.85, 174.76),
    city("Suva", "FJ", "OC", -18.12, 178.45),
    city("Cairo", "EG", "AF", 30.04, 31.24),
    city("Casablanca", "MA", "AF", 33.57, -7.59),
    city("Algiers", "DZ", "AF", 36.75, 3.06),
    city("Tunis", "TN", "AF", 36.81, 10.18),
    city("Lagos", "NG", "AF", 6.52, 3.38),
    city("Accra", "GH", "AF", 5.6, -0.19),
    city("Dakar", "SN", "AF", 14.72, -17.47),
    city("Nairobi", "KE", "AF", -1.29, 36.82),
    city("Addis Ababa", "ET", "AF", 9.03, 38.74),
    city("Kampala", "UG", "AF", 0.35, 32.58),
    city("Kinshasa", "CD", "AF", -4.44, 15.27),
    city("Luanda", "AO", "AF", -8.84, 13.29),
    city("Johannesburg", "ZA", "AF", -26.2, 28.05),
    city("Cape Town", "ZA", "AF", -33.92, 18.42),
    city("New York", "US", "NA", 40.71, -74.01),
    city("Ashburn", "US", "NA", 39.04, -77.49),
    city("Miami", "US", "NA", 25.76, -80.19),
    city("Atlanta", "US", "NA", 33.75, -84.39),
    city("Chicago", "US", "NA", 41.88, -87.63),
    city("Dallas", "US", "NA", 32.78, -96.8),
    city("Denver", "US", "NA", 39.74, -104.99),
    city("Seattle", "US", "NA", 47.61, -122.33),
    city("San Francisco", "US", "NA", 37.77, -122.42),
    city("Los Angeles", "US", "NA", 34.05, -118.24),
    city("Honolulu", "US", "NA", 21.31, -157.86),
    city("Toronto", "CA", "NA", 43.65, -79.38),
    city("Montréal", "CA", "NA", 45.5, -73.57),
    city("Vancouver", "CA", "NA", 49.28, -123.12),
    city("Mexico City", "MX", "NA", 19.43, -99.13),
    city("Guatemala City", "GT", "NA", 14.63, -90.51),
    city("Panama City", "PA", "NA", 8.98, -79.52),
    city("Havana", "CU", "NA", 23.11, -82.37),
    city("São Paulo", "BR", "SA", -23.55, -46.63),
    city("Rio de Janeiro", "BR", "SA", -22.91, -43.17),
    city("Fortaleza", "BR", "SA", -3.73, -38.53),
    city("Buenos Aires", "AR", "SA", -34.6, -58.38),
    city("Santiago", "CL", "SA", -33.45, -70.67),
    city("Lima", "PE", "SA", -12.05, -77.04),
    city("Bogotá", "CO", "SA", 4.71, -74.07),
    city("Quito", "EC", "SA", -0.18, -78.47),
    city("Caracas", "VE", "SA", 10.48, -66.9),
    city("Montevideo", "UY", "SA", -34.9, -56.16),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_city_is_on_earth_and_has_its_own_name() {
        for city in CITIES {
            assert_eq!(City::named(city.name), Some(city));
            assert_eq!((city.country.len(), city.continent.len()), (2, 2));
            assert!(city.info().location.is_some());
        }
    }
}
