//! Persistent storage: metadata in a database, bytes in an object store.
//!
//! Each module adds to [`Database`] the queries of its own tables.

mod authority_limits;
mod blobs;
mod builds;
mod channel_deletions;
mod channel_lifetimes;
mod channels;
mod column_values;
mod contents;
mod database;
mod domains;
mod edges;
mod encodings;
mod erased_blobs;
mod erased_contents;
mod erasures;
mod error;
mod failed_names;
mod history;
mod inherited;
mod issuance;
mod join_codes;
mod known_digests;
mod log;
mod name_servers;
mod past_purges;
mod purges;
mod releases;
mod rollouts;
mod secrets;
mod sites;
mod standing;
mod state;
#[cfg(test)]
mod test_support;
mod tokens;
mod write_transaction;

pub(crate) use authority_limits::{AuthorityLimit, AuthorityLimits};
pub(crate) use blobs::{BlobLookup, Blobs};
pub(crate) use channel_deletions::{Deletion, DeletionCause};
pub(crate) use channel_lifetimes::{ChannelEnd, NewLifetime};
pub use channels::ChannelMove;
pub(crate) use channels::{ChannelRow, MOVES_READ, MoveTarget, NewMove, ROLLBACK_MOVES_READ};
pub(crate) use contents::list_digest;
pub(crate) use database::{Database, migrations};
pub(crate) use domains::{DomainRow, DomainRows};
pub(crate) use edges::EdgeStates;
pub(crate) use encodings::EncodingRow;
pub(crate) use erased_blobs::ErasedBlob;
pub(crate) use erasures::{Erased, NewErased, NewErasure, SiteManifests};
pub(crate) use error::StoreError;
pub(crate) use failed_names::{FailedName, FailedNames};
pub use history::Relation;
pub(crate) use history::{Divergence, is_too_soon, next_generation, relation};
pub(crate) use inherited::{INHERITED_MAX, KEPT_FOR, after_canary, with_kept};
pub(crate) use issuance::{IssuanceRow, IssuanceRows};
pub(crate) use join_codes::JoinCodeRow;
pub(crate) use purges::NewPurge;
pub(crate) use releases::{Fingerprint, NewFingerprint, NewRelease, ReleaseRow};
pub(crate) use rollouts::{EarlierRequest, NewRollout};
pub(crate) use secrets::SecretRow;
pub(crate) use sites::SiteRow;
pub(crate) use standing::Standing;
pub(crate) use state::StateRows;
