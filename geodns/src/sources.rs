//! What is read from files and read anew when they change: zones, and the database of places. What cannot be read leaves what was
//! there before in place.

mod changed;
mod database;
mod zones;

use std::time::Duration;

pub(crate) use self::database::DatabaseSource;
pub(crate) use self::zones::{ZoneSource, ZonesError};

/// How often to look whether a file has changed.
const LOOK: Duration = Duration::from_secs(1);
