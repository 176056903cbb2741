//! The infrastructure that Verge's daemons share.
//!
//! A daemon is a value ([`Daemon`]): it is bound once every port is open, and shut down in order, so that a test or `verge up` runs any
//! number of them in one process. [`run()`] is every daemon's `main`. Edges and name servers send requests to origins through
//! [`origins`] and subscribe to changes through [`feed`].

// A fuzz target has the allocator that its sanitizer watches.
#[cfg(not(any(target_env = "msvc", fuzzing)))]
mod allocator;
pub mod atomic_file;
pub mod backoff;
pub mod clock;
pub mod config;
pub mod data_dir;
pub mod disk_space;
pub mod feed;
pub mod file_watch;
pub mod http_server;
pub mod join;
pub mod listen;
pub mod open_files;
pub mod origins;
pub mod private_listener;
pub mod run;
pub mod saved_state;
pub mod sealing;
pub mod secret;
pub mod tasks;
pub mod telemetry;
pub mod tls;

pub use backoff::Backoff;
pub use clock::Clock;
pub use data_dir::DataDir;
pub use run::{Daemon, run, run_with};
pub use secret::Secret;
pub use tasks::Tasks;
pub use verge_protocol::error_chain;
