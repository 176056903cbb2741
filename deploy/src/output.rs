//! What a command writes: results to stdout, everything else (progress, warnings, errors) to stderr. On a terminal with progress
//! bars and colors, elsewhere as plain lines.

mod clean;
pub mod human;
mod live_text;
mod printer;
mod progress;
mod question;
mod table;
#[cfg(test)]
mod tests;

pub use self::live_text::LiveText;
pub use self::printer::{Output, OutputOptions};
pub use self::progress::{Step, Unit};
pub use self::table::table;
