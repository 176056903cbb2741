//! The plumbing that Verge's daemons share, so that each holds only what it is for.
//!
//! A daemon is a value ([`Daemon`]): bound when every port is open, shut down in order, as many in one process as a test or
//! `verge up` likes. [`run()`] is the page that every daemon's `main` is. Those that follow an origin ask it through [`origins`] and
//! hear what changes through [`feed`].

pub mod backoff;
mod chain;
pub mod clock;
pub mod config;
pub mod data_folder;
pub mod feed;
mod first_bytes;
pub mod http_server;
pub mod listen;
pub mod open_files;
pub mod origins;
pub mod private;
pub mod run;
pub mod saved_state;
pub mod secret;
pub mod tasks;
pub mod telemetry;
pub mod whole_file;

pub use backoff::Backoff;
pub use chain::chain;
pub use clock::Clock;
pub use data_folder::DataFolder;
pub use run::{Daemon, run};
pub use secret::Secret;
pub use tasks::Tasks;
