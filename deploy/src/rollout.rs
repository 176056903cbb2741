//! The rollout of a release: edges prepare it, the channel moves, then every edge confirms that it serves the release.
//!
//! attempt (requests, repeated) → tracker (events) → edge table (what is shown) → outcome

mod attempt;
mod confirmations;
mod edge_check;
mod edge_state;
mod edge_table;
mod error;
mod outcome;
#[cfg(test)]
mod tests;
mod tracker;
mod wait;

pub use self::attempt::Attempt;
pub use self::confirmations::Confirmations;
pub use self::edge_check::EdgeCheck;
pub(crate) use self::edge_check::ask_each;
pub use self::error::RolloutError;
pub use self::outcome::{Released, Rollout};
pub use self::wait::{Wait, WaitError};
