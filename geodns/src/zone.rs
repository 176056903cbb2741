//! The operator's zones and the fleet's names in them: zone files (RFC 1035 §5), and what exists at a name (RFC 1034 §4.3.2).
//!
//! A zone file becomes a [`ZoneFile`] once; a [`Catalogue`] adds the names that the fleet answers for and is made anew, cheaply,
//! whenever they change.

mod catalogue;
mod check;
mod cuts;
mod entry;
mod file;
mod find;
mod line;
mod notice;
mod read;
mod report;
mod sets;

pub(crate) use catalogue::Catalogue;
pub(crate) use file::ZoneFile;
pub(crate) use find::{Found, Node, Zone};
pub(crate) use notice::ZoneError;
pub(crate) use read::read_text;
