//! The owner of a token.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{EdgeName, NameServerName};

/// Answer to `GET /v1/token`: the owner of the token that the request carries, such as `{"kind":"edge","name":"fra-1"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum TokenOwner {
    /// The administrator.
    Admin,
    /// An edge.
    Edge(EdgeName),
    /// A name server.
    NameServer(NameServerName),
}

impl fmt::Display for TokenOwner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Admin => formatter.write_str("the administrator"),
            Self::Edge(name) => write!(formatter, "edge {name}"),
            Self::NameServer(name) => write!(formatter, "name server {name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn owner_serializes_to_its_kind_and_name() {
        for (owner, json) in [
            (TokenOwner::Admin, r#"{"kind":"admin"}"#),
            (TokenOwner::Edge("fra-1".parse().unwrap()), r#"{"kind":"edge","name":"fra-1"}"#),
            (TokenOwner::NameServer("ns-1".parse().unwrap()), r#"{"kind":"name-server","name":"ns-1"}"#),
        ] {
            assert_eq!(serde_json::to_string(&owner).unwrap(), json);
            assert_eq!(serde_json::from_str::<TokenOwner>(json).unwrap(), owner);
        }
    }
}
