//! Join codes: whether one is exchanged for a token.

use verge_protocol::Timestamp;
use verge_protocol::api::TokenOwner;

use crate::store::{JoinCodeRow, StoreError};

/// Why a join code is not exchanged. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JoinError {
    #[error("unknown join code: it was replaced by a newer one, or its edge or name server was removed")]
    Unknown,
    #[error("the join code of {owner} expired at {expires}")]
    Expired { owner: TokenOwner, expires: Timestamp },
    #[error(
        "the join code of {owner} was used at {used}, by another machine or another data directory, or its answer was lost"
    )]
    Used { owner: TokenOwner, used: Timestamp },
    #[error("{0} joins with its public key")]
    NoKey(TokenOwner),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The owner of the token for which a code is exchanged. An edge may exchange its code again until it expires, with the same key: the first
/// answer may have been lost.
pub(crate) fn owner(
    code: Option<JoinCodeRow>,
    public_key: Option<&str>,
    now: Timestamp,
) -> Result<TokenOwner, JoinError> {
    let JoinCodeRow { owner, expires, used, public_key: first_key } = code.ok_or(JoinError::Unknown)?;
    if now >= expires {
        return Err(JoinError::Expired { owner, expires });
    }
    if matches!(owner, TokenOwner::Edge(_)) && public_key.is_none() {
        return Err(JoinError::NoKey(owner));
    }
    let is_repeated = first_key.is_some() && first_key.as_deref() == public_key;
    match used {
        Some(used) if !is_repeated => Err(JoinError::Used { owner, used }),
        _ => Ok(owner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPIRES: Timestamp = Timestamp(10_000);

    /// What becomes of the code of an edge that was used with `first_key`, if it was.
    fn exchanged(first_key: Option<&str>, public_key: Option<&str>, now: u64) -> Result<TokenOwner, String> {
        let code = JoinCodeRow {
            owner: TokenOwner::Edge("fra-1".parse().unwrap()),
            expires: EXPIRES,
            used: first_key.map(|_| Timestamp(5_000)),
            public_key: first_key.map(str::to_owned),
        };
        owner(Some(code), public_key, Timestamp(now)).map_err(|error| error.to_string())
    }

    #[test]
    fn code_is_exchanged_once_or_again_with_the_same_key_until_it_expires() {
        assert!(exchanged(None, Some("a"), 9_999).is_ok() && exchanged(Some("a"), Some("a"), 9_999).is_ok());
        for (first_key, public_key, now, wrong) in [
            (Some("a"), Some("b"), 9_999, "was used at 1970-01-01T00:00:05Z"),
            (None, Some("a"), 10_000, "expired at 1970-01-01T00:00:10Z"),
            (Some("a"), Some("a"), 10_000, "expired"),
            (None, None, 0, "edge fra-1 joins with its public key"),
        ] {
            let error = exchanged(first_key, public_key, now).unwrap_err();
            assert!(error.contains(wrong), "{error}");
        }
        assert!(matches!(owner(None, Some("a"), Timestamp(0)), Err(JoinError::Unknown)));
    }

    #[test]
    fn code_of_a_name_server_is_exchanged_once() {
        let code = JoinCodeRow {
            owner: TokenOwner::NameServer("ns-1".parse().unwrap()),
            expires: EXPIRES,
            used: None,
            public_key: None,
        };
        assert!(owner(Some(code.clone()), None, Timestamp(0)).is_ok());
        let used = JoinCodeRow { used: Some(Timestamp(1)), ..code };
        assert!(matches!(owner(Some(used), None, Timestamp(2)), Err(JoinError::Used { .. })));
    }
}
