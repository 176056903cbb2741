//! Writes `MaxMind` DB files (format 2.0), for tests and measurements: real databases of places come with licences and change
//! every week.
//!
//! | Module | Idea |
//! |---|---|
//! | [`spot`] | what such a file knows of a network |
//! | [`layout`] | how publishers spell that as a record |
//! | [`value`] | a value of a record, and its bytes |
//! | [`writer`] | networks and records → the file |
//! | [`sample`] | a made-up internet, the same for the same seed |
//!
//! ```text
//! file := search tree · 16 zero bytes · data · "\xab\xcd\xefMaxMind.com" · metadata
//! ```

pub mod layout;
pub mod sample;
pub mod spot;
pub mod value;
pub mod writer;

pub use layout::Layout;
pub use spot::Spot;
pub use value::Value;
pub use writer::{Family, Options, RecordSize, WriteError, Writer};
