//! Files that are reloaded when they change: zone files and the location database. If a reload fails, the previous contents stay in
//! use; of zones also across restarts, from a copy in the data directory.

mod database;
mod zone_copies;
mod zone_copy;
mod zones;

pub(crate) use self::database::DatabaseSource;
pub use self::zones::ZoneConfig;
pub(crate) use self::zones::{ZoneCounters, ZoneSource, ZoneStatus, ZonesError, check_zones};
