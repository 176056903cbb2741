//! Files that are reloaded when they change: zone files and the location database. If a reload fails, the previous contents stay in
//! use.

mod database;
mod file_watch;
mod zones;

pub(crate) use self::database::DatabaseSource;
pub use self::zones::ZoneConfig;
pub(crate) use self::zones::{ZoneSource, ZonesError};
