//! The command line of Verge: everything that a person or a pipeline does to an origin.
//!
//! ```text
//! main → command → push, rollback → scan, upload, follow → client → verge-protocol
//!                                        │
//!                                     output: all words pass through it
//! ```
//!
//! | Module | Idea |
//! |---|---|
//! | [`cli`] | what may be typed |
//! | [`cities`] | where cities are, for those who say where an edge is |
//! | [`environment`] | what is read of the process once, and passed down |
//! | [`command`] | what each command does, one file a verb |
//! | [`project`] | which folder is pushed, to which site |
//! | [`connection`], [`profile`] | which origin is spoken to, with which token, and which name server |
//! | [`scan`] | a folder, looked through and described as a build |
//! | [`push`], [`upload`], [`follow`] | how a build becomes a release |
//! | `up` | an origin, its edges and a name server in this process |
//! | [`client`] | the origin's HTTP API, and that of a name server |
//! | [`output`], [`failure`], [`exit`] | what is said, and how it ends |

pub mod cities;
pub mod cli;
pub mod client;
pub mod command;
pub mod connection;
pub mod environment;
pub mod exit;
pub mod failure;
pub mod follow;
pub mod output;
pub mod profile;
pub mod project;
pub mod push;
pub mod rollback;
pub mod scan;
pub mod toml_file;
#[cfg(feature = "up")]
pub mod up;
pub mod upload;

pub use cli::Cli;
pub use environment::Environment;
pub use exit::Exit;
pub use output::Output;
