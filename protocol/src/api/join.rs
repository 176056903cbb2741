//! Joining a fleet: what a join code is exchanged for.

use serde::{Deserialize, Serialize};

use super::token::TokenOwner;
use crate::domain::DomainName;
use crate::fleet::EdgeState;
use crate::join_code::JoinSecret;
use crate::key_pin::KeyPin;
use crate::timestamp::Timestamp;

/// How long a join code works, in seconds.
pub const JOIN_CODE_SECONDS: u64 = 60 * 60;

/// Answer to `POST /v1/edges/{edge}/join-code` and `POST /v1/name-servers/{name}/join-code`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuedJoinSecret {
    /// The secret, for a [`JoinCode`](crate::JoinCode).
    pub secret: JoinSecret,
    /// When it stops working.
    pub expires: Timestamp,
    /// The pin of the origin's identity key, if it presents that over TLS.
    #[serde(default)]
    pub pin: Option<KeyPin>,
}

/// Body of `POST /v1/join`, which carries no token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JoinRequest {
    /// The secret of the join code.
    pub secret: JoinSecret,
    /// The public key of an edge, in base64. The edge is bound to it. The same secret and key may be sent again until the code expires.
    #[serde(default)]
    pub public_key: Option<String>,
}

/// Answer to [`JoinRequest`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Joined {
    /// The owner of the token.
    pub owner: TokenOwner,
    /// The token. An earlier one of the owner has stopped working.
    pub token: String,
    /// The domain under which sites are served.
    pub base_domain: DomainName,
    /// How readers are sent to the edge, if it is one that is configured.
    #[serde(default)]
    pub edge: Option<EdgeState>,
}
