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
//! | [`name`], [`path`], [`host`], [`domain`], [`release`] | names of sites, channels, edges, files, hosts and releases |
//! | [`build`] | what a push sends |
//! | [`manifest`] | what an edge serves |
//! | [`state`], [`feed`], [`report`] | what edges and name servers are told, how, and what edges answer |
//! | [`fleet`], [`place`], [`health`], [`explanation`] | how readers are sent to edges and why, where on earth things are, how an edge is |
//! | [`pack`], [`compression`] | how blobs, builds and manifests travel |
//! | [`json`] | values of rows, passed on as they were written |
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
pub mod domain;
pub mod explanation;
pub mod feed;
pub mod fleet;
pub mod geo_point;
pub mod health;
pub mod host;
pub mod json;
pub mod manifest;
pub mod name;
pub mod pack;
pub mod path;
pub mod position;
pub mod release;
pub mod report;
pub mod state;
pub mod timestamp;

mod serde_text;
mod unique_keys;

pub use blob::{BLOB_MAX, Blob};
pub use build::{Build, Fallback};
pub use content::Content;
pub use digest::Digest;
pub use domain::DomainName;
pub use geo_point::GeoPoint;
pub use json::Json;
pub use manifest::{Coding, Lifetime, Manifest};
pub use name::{BuildId, ChannelName, EdgeName, NameServerName, Region, SiteName};
pub use path::SitePath;
pub use position::{Generation, Position, Seq};
pub use release::ReleaseNumber;
pub use timestamp::Timestamp;
