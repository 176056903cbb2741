//! What crosses a process boundary in Verge, and nothing else.
//!
//! Everything here is plain data with its rules: parsed once into types that cannot be wrong, without I/O, without an async
//! runtime. `push → origin → feed → edge` all speak through this crate; no daemon depends on another.
//!
//! | Module | Idea |
//! |---|---|
//! | [`digest`] | the SHA-256 that names bytes |
//! | [`blob`] | at most 256 KiB, proven to match its digest |
//! | [`content`] | a byte sequence of any length, as a list of blobs |
//! | [`name`], [`path`], [`host`], [`release`] | names of sites, channels, edges, files and releases |
//! | [`build`] | what a push sends |
//! | [`manifest`] | what an edge serves |
//! | [`state`], [`feed`], [`report`] | what edges are told, how, and what they answer |
//! | [`pack`], [`compression`] | how blobs, builds and manifests travel |
//! | [`api`] | bodies of the origin's HTTP API |
//!
//! Skew: readers of these types ignore fields they do not know, and new fields have defaults, so that processes one version
//! apart work together in both directions.

pub mod api;
pub mod blob;
pub mod build;
pub mod compression;
pub mod content;
pub mod digest;
pub mod feed;
pub mod host;
pub mod manifest;
pub mod name;
pub mod pack;
pub mod path;
pub mod position;
pub mod release;
pub mod report;
pub mod state;
pub mod timestamp;

mod text;
mod unique;

pub use blob::{BLOB_MAX, Blob};
pub use build::{Build, Fallback};
pub use content::Content;
pub use digest::Digest;
pub use manifest::{Coding, Lifetime, Manifest};
pub use name::{BuildId, ChannelName, EdgeName, SiteName};
pub use path::SitePath;
pub use position::{Generation, Position, Seq};
pub use release::ReleaseNumber;
pub use timestamp::Timestamp;
