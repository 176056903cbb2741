//! Why a query failed.

/// Why a query gave no texts.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ResolveError {
    #[error("`{0}` does not exist in DNS")]
    NameNotFound(String),
    #[error("`{0}` has no TXT record")]
    NoTxtRecord(String),
    #[error("the resolver did not answer the query for `{0}`")]
    NoAnswer(String),
    #[error("the query for `{name}` failed: {reason}")]
    Failed { name: String, reason: String },
    #[error("the origin has no DNS resolver ({0}): set `resolver` in its configuration")]
    NoResolver(String),
}

impl ResolveError {
    /// Whether DNS answered that there is no such record. False if the query failed.
    pub(crate) fn is_definite(&self) -> bool {
        match self {
            Self::NameNotFound(_) | Self::NoTxtRecord(_) => true,
            Self::NoAnswer(_) | Self::Failed { .. } | Self::NoResolver(_) => false,
        }
    }
}
