//! Access tokens.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::Rng as _;
use tokio::time::Instant;
use verge_daemon::{Clock, Secret};
use verge_protocol::Digest;
use verge_protocol::api::TokenOwner;
use verge_protocol::token::{self, TokenError};

use crate::failed_attempts::FailedAttempts;
use crate::metrics::Metrics;
use crate::store::{Database, StoreError};

/// Generates a token, with 160 random bits.
pub(crate) fn generate() -> Secret {
    let mut random = [0_u8; token::RANDOM_DIGITS / 2];
    rand::rng().fill_bytes(&mut random);
    let mut digits = Digest::of(&random).to_string();
    digits.truncate(token::RANDOM_DIGITS);
    Secret::new(token::from_random_digits(&digits))
}

/// The digest under which the origin stores a token.
pub(crate) fn digest(token: &str) -> Result<Digest, TokenError> {
    token::check(token)?;
    Ok(Digest::of(token.as_bytes()))
}

/// The owners of tokens, as requests present them. Clones share the database.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) database: Database,
    pub(crate) clock: Clock,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) failed_attempts: FailedAttempts,
}

impl Tokens {
    /// The owner of a token; `None` if it is unknown, which is counted: an edge whose token the origin lost cannot tell otherwise.
    pub(crate) async fn owner(&self, digest: Digest) -> Result<Option<TokenOwner>, StoreError> {
        let owner = self.database.token_owner(digest).await?;
        if owner.is_none() {
            self.metrics.count_unknown_token(self.clock.now());
        }
        Ok(owner)
    }

    /// Notes that a request from this address had no valid token or join code. The error says how long no other one is within the limit.
    pub(crate) fn note_failure(&self, address: IpAddr) -> Result<(), Duration> {
        let noted = self.failed_attempts.note(address, Instant::now());
        if noted.is_err() {
            self.metrics.failures_limited.inc();
        }
        noted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_token_is_well_formed_and_unique() {
        let token = generate();
        assert!(digest(token.expose()).is_ok());
        assert_eq!(digest(&token.expose()[1..]), Err(TokenError::Prefix));
        assert_ne!(generate(), token);
    }
}
