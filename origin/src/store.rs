//! What the origin keeps: metadata in a database, bytes in an object store.

pub(crate) mod blobs;
mod builds;
mod channels;
mod contents;
mod database;
mod domains;
mod edges;
mod encodings;
mod fingerprints;
mod releases;
mod sites;
mod state;
mod tokens;

pub(crate) use blobs::Blobs;
pub(crate) use channels::{ChannelMove, Switch, Target};
pub(crate) use database::Database;
pub(crate) use domains::{DomainRow, Domains};
pub(crate) use edges::Edges;
pub(crate) use releases::{NewRelease, ReleaseRow};
pub(crate) use sites::SiteRow;
pub(crate) use tokens::Holder;

/// Why something could not be kept or found. Always the origin's own trouble, never the caller's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    #[error("the database failed")]
    Database(#[from] sqlx::Error),
    #[error("the database could not be brought up to date")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("blob storage failed")]
    Objects(#[from] object_store::Error),
    #[error("blob storage could not be synced")]
    Sync(#[source] std::io::Error),
    #[error("{what} in the database cannot be read: {text:?}")]
    Malformed { what: &'static str, text: String },
}

/// Reads a column that this program wrote: whatever is wrong with it is corruption, and is said as such.
fn column<T: std::str::FromStr>(what: &'static str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// As [`column`], for JSON.
fn json_column<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|_| StoreError::Malformed { what, text: text.to_owned() })
}

/// As [`column`], for numbers that are never negative.
fn unsigned(what: &'static str, number: i64) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Malformed { what, text: number.to_string() })
}

/// The database's integers are signed; numbers here stay far below the limit.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
