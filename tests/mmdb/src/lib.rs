//! Location databases in the `MaxMind` DB format, for tests and measurements: real databases come with licences and change every
//! week.
//!
//! | Module | Contents |
//! |---|---|
//! | [`layout`] | what a database knows of a network, and how publishers lay it out as a record |
//! | [`writer`] | networks and records → the file |
//! | [`sample`] | the networks of a fictional internet, the same for the same seed |

pub mod layout;
pub mod sample;
pub mod writer;

pub use layout::{Layout, NetworkInfo};
pub use writer::{IpVersion, Options, RecordSize, Value, Writer};
