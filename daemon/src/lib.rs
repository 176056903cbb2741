//! The plumbing that Verge's daemons share, so that each holds only what it is for.
//!
//! A daemon is a value ([`Daemon`]): bound when every port is open, shut down in order, as many in one process as a test or
//! `verge up` likes. [`run()`] is the page that every daemon's `main` is. Those that follow an origin ask it through [`origins`] and
//! hear what changes through [`feed`].

pub mod atomic_file;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod data_dir;
mod error_chain;
pub mod feed;
pub mod http_server;
pub mod listen;
pub mod open_files;
pub mod origins;
mod preface_timeout;
pub mod private_listener;
pub mod run;
pub mod saved_state;
pub mod secret;
pub mod tasks;
pub mod telemetry;

pub use backoff::Backoff;
pub use clock::Clock;
pub use data_dir::DataDir;
pub use error_chain::error_chain;
pub use run::{Daemon, run};
pub use secret::Secret;
pub use tasks::Tasks;
