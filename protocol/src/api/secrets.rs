//! Private keys and other secrets, on their way from the origin to an edge.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// The most secrets that one request may name.
pub const SECRETS_MAX: usize = 1000;

/// Body of `POST /v1/secrets`: the secrets that an edge lacks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretsRequest {
    /// The edge's public key, in base64. The origin keeps the first one of each edge, and refuses others until the edge joins again.
    pub public_key: String,
    /// The names of the secrets; at most [`SECRETS_MAX`].
    pub secrets: Vec<Digest>,
}

/// Answer to [`SecretsRequest`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SecretsAnswer {
    /// Each secret that the origin has and that the edge may have. It may be asked again for the others.
    pub sealed: BTreeMap<Digest, SealedSecret>,
}

/// A secret, encrypted to the public key of an edge (HPKE, RFC 9180, base mode: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM). `info`
/// is `verge secret`, the associated data are the digits of its name, a space, and the edge's name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedSecret {
    /// The encapsulated key, in base64.
    pub encapsulated_key: String,
    /// The ciphertext, in base64.
    pub ciphertext: String,
}
