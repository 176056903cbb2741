//! The types that cross a process boundary in Verge, and nothing else.
//!
//! Everything here is plain data with its invariants: parsed once into types that cannot hold a bad value, without I/O or an async
//! runtime. `push → origin → feed → edge` communicate through this crate; no daemon depends on another.
//!
//! | Module | Idea |
//! |---|---|
//! | [`digest`] | the SHA-256 that names bytes |
//! | [`blob`] | at most 256 KiB, proven to match its digest |
//! | [`content`] | a byte sequence of any length, described as a list of blobs |
//! | [`name`], [`path`], [`host`], [`domain`], [`release`] | names of sites, channels, edges, name servers, files, hosts and releases |
//! | [`nfc`] | the form of Unicode in which names of files are looked up |
//! | [`name_hash`] | the content hash that a file's name may contain: asked by the client and by the origin |
//! | [`build`] | what a push sends |
//! | [`manifest`] | what an edge serves |
//! | [`rules`] | redirects, headers and passwords of a build |
//! | [`state`], [`feed`], [`report`] | the rows of the origin's state, the change feed that carries them, the edges' reports |
//! | [`fleet`], [`geo_point`] | the operator's configuration of edges, sites and domains; coordinates |
//! | [`health`], [`explanation`] | an edge's health page; why a name server chooses an edge |
//! | [`purge`] | what is purged of a site |
//! | [`certificate`] | TLS certificates of the fleet, and answers to challenges of certificate authorities |
//! | [`pack`], [`compression`] | transfer formats of blobs, builds and manifests |
//! | [`token`], [`placeholder`] | the syntax of access tokens; text that stands where a value is missing |
//! | [`key_pin`], [`join_code`] | by what a client recognizes an origin; what a machine joins a fleet with |
//! | [`json`] | JSON values that are stored and forwarded byte for byte |
//! | [`api`] | bodies of the origin's HTTP API |
//!
//! Version skew: readers of these types ignore unknown fields, and new fields have defaults, so that processes one version
//! apart work together in both directions.

pub mod api;
pub mod blob;
pub mod build;
pub mod canary;
pub mod certificate;
pub mod compression;
pub mod content;
pub mod digest;
pub mod domain;
pub mod explanation;
pub mod feed;
pub mod fleet;
#[doc(hidden)]
pub mod fuzzing;
pub mod geo_point;
pub mod health;
pub mod host;
pub mod https;
pub mod join_code;
pub mod json;
pub mod key_pin;
pub mod manifest;
pub mod name;
pub mod name_hash;
pub mod nfc;
pub mod pack;
pub mod path;
pub mod placeholder;
pub mod position;
pub mod purge;
pub mod release;
pub mod report;
pub mod rules;
pub mod state;
pub mod timestamp;
pub mod token;

mod error_chain;
mod serde_text;
mod unique_keys;

pub use blob::{BLOB_MAX, Blob};
pub use build::{Build, Fallback, HtmlPaths};
pub use certificate::CertificateName;
pub use content::Content;
pub use digest::Digest;
pub use domain::DomainName;
pub use error_chain::error_chain;
pub use geo_point::GeoPoint;
pub use join_code::{JoinCode, JoinSecret};
pub use json::Json;
pub use key_pin::KeyPin;
pub use manifest::{Coding, Lifetime, Manifest};
pub use name::{BuildId, ChannelName, EdgeName, IdempotencyKey, NameServerName, Region, SiteName};
pub use path::SitePath;
pub use position::{Checkpoint, Generation, History, Position, Seq};
pub use release::ReleaseNumber;
pub use rules::Rules;
pub use timestamp::Timestamp;
