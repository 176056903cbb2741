//! Whose token a daemon has, according to the origins.

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::Notify;
use verge_protocol::api::TokenOwner;

use super::Origins;
use super::settings::how_to_obtain;
use crate::error_chain;

/// How often the owner is requested while the feed stays open: an error that is logged once is overlooked.
const INTERVAL: Duration = Duration::from_mins(5);

/// Requests the owner of the token each time `connected` is notified, and every five minutes after the first time, and logs an error if
/// it is not `expected`. Never ends.
pub async fn check_token_owner(origins: Origins, expected: TokenOwner, connected: Arc<Notify>) {
    connected.notified().await;
    loop {
        match origins.first(|origin| origins.token_owner(origin).boxed()).await {
            Ok(owner) if owner == expected => tracing::debug!(%owner, "the token belongs to this process"),
            Ok(owner) => tracing::error!("{}", foreign_token(&owner, &expected)),
            // An older origin does not know the answer, and one that is away is reported by the subscriber.
            Err(error) => tracing::debug!(error = %error_chain(&error), "failed to request the owner of the token"),
        }
        let _ = tokio::time::timeout(INTERVAL, connected.notified()).await;
    }
}

/// What is wrong with a token of `owner` in the configuration of `expected`, and what to do.
pub(crate) fn foreign_token(owner: &TokenOwner, expected: &TokenOwner) -> String {
    format!("the token belongs to {owner}, but this is {expected}: {}", how_to_obtain(expected))
}
