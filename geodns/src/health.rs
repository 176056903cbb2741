//! How the edges are: each of their addresses is probed, as a reader would reach it.
//!
//! ```text
//! Told ──addresses──► prober ──► probe (one GET) ──► Tracker ──Report──► Board ──► HealthTable
//!                                                                   Lag ──┘  └──► Remembered (disk)
//! ```
//!
//! [`tracker`] decides who is up, [`lag`] who is behind, [`board`] puts it together: without I/O or a clock of their
//! own.

mod board;
mod config;
mod failure;
mod lag;
mod pace;
mod probe;
mod prober;
mod table;
mod tracker;
mod visitor;

pub use self::config::{HealthConfig, HealthConfigError, Pem, Scheme};
pub use self::pace::Pace;
pub(crate) use self::prober::Prober;
pub(crate) use self::table::{AddressHealth, HealthTable};
