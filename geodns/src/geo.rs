//! Geolocation of clients: where a client is, and which network has that same location.
//!
//! Clients are distinguished by /24 (IPv4) or /48 (IPv6) and never more finely, so that an answer reveals no more of a reader than
//! RFC 7871 §11.1 asks for, and holds for every client that it is cached for.

mod database;
mod geo_vector;
mod import;
mod locator;
mod overrides;
mod prefix;
mod prefix_table;
mod private_addresses;
mod record;
#[cfg(test)]
mod test_support;

pub(crate) use self::database::Database;
pub(crate) use self::geo_vector::GeoVector;
pub(crate) use self::locator::{ClientLocation, GeoLocator, LocationSource};
pub(crate) use self::overrides::LocationOverrides;
pub use self::overrides::OverrideError;
pub(crate) use self::prefix::Family;
pub(crate) use self::private_addresses::is_private;
