//! What a database knows of a network.

use verge_protocol::GeoPoint;

/// What a database knows of a network. Every part may be missing, as in real databases.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Spot {
    /// Where it is.
    pub place: Option<GeoPoint>,
    /// The ISO 3166-1 code of the country, such as `DE`.
    pub country: Option<String>,
    /// The code of the continent, such as `EU`.
    pub continent: Option<String>,
    /// The English name of the city.
    pub city: Option<String>,
}
