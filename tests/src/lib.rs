//! Whole clusters in one process, for tests and measurements.
#![expect(clippy::missing_panics_doc, clippy::unwrap_used, reason = "a test that panics has said what is wrong")]

mod proxy;
mod world;

pub use proxy::{Line, Proxy};
pub use world::{Answer, World};
