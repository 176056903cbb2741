//! The operator's zones with the names of sites in them: zone files (RFC 1035 §5), and what exists at a name (RFC 1034 §4.3.2).
//!
//! A zone file is loaded once, as a [`ZoneFile`]. A [`ZoneSet`] adds the names that the fleet answers for; it is cheap to build,
//! and rebuilt whenever they change.

mod challenges;
mod checks;
mod cuts;
mod diagnostics;
mod loader;
mod lookup;
#[cfg(test)]
mod lookup_tests;
pub(crate) mod release_hosts;
mod rrsets;
#[cfg(test)]
mod test_support;
mod text;
mod zone_data;
mod zone_set;

pub(crate) use diagnostics::ZoneError;
pub(crate) use lookup::{Lookup, ZoneNode};
pub(crate) use text::read_file;
pub(crate) use zone_data::{Zone, ZoneFile};
pub(crate) use zone_set::ZoneSet;
