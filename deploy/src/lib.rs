//! The `verge` command line, and the client of the origin's API behind it.
//!
//! ```text
//! main → command → push, rollback → scan, upload, rollout → client → verge-protocol
//!                                        │
//!                                     output
//! ```
//!
//! | Module | Purpose |
//! |---|---|
//! | [`cli`] | command-line arguments |
//! | [`cities`] | locations and regions of cities, for `--at` |
//! | [`environment`], [`platform_dirs`] | what is read from the process, once |
//! | [`command`] | the commands, one file each |
//! | [`channel`], [`git`] | the channel to update, by a flag, a setting, CI or git |
//! | [`project`] | the directory to push, and the site to push it to |
//! | [`connection`], [`profile`] | which origin or name server to use, and the token |
//! | [`rules`] | redirects, headers and passwords, parsed and checked |
//! | [`scan`] | a directory, checked and described as a build |
//! | [`check`], [`last_push`] | what is wrong with a build, without a network; what the last push has left for that |
//! | [`push`], [`upload`], [`rollout`] | a build becomes a release on every edge |
//! | [`explain`] | what edges answer at a URL, and why |
//! | [`purge`] | paths of a site, purged or erased on every edge |
//! | `up` | an origin, edges and a name server in this process |
//! | [`client`] | HTTP clients of the origin and of name servers |
//! | [`unicode_domain`] | domain names as people write them |
//! | [`output`], [`failure`], [`exit`] | messages, errors and exit codes |

pub mod channel;
pub mod check;
pub mod cities;
pub mod cli;
pub mod client;
pub mod command;
pub mod endpoints;
pub mod environment;
pub mod exit;
pub mod explain;
pub mod failure;
#[doc(hidden)]
pub mod fuzzing;
pub mod git;
pub mod last_push;
pub mod output;
pub mod platform_dirs;
pub mod profile;
pub mod project;
pub mod promote;
pub mod purge;
pub mod push;
pub mod rollback;
pub mod rollout;
pub mod rules;
pub mod scan;
pub mod toml_file;
pub mod unicode_domain;
#[cfg(feature = "up")]
pub mod up;
pub mod upload;

pub use cli::Cli;
pub use environment::Environment;
pub use exit::Exit;
pub use output::Output;
