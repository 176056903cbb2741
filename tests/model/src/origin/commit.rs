//! Commits that fail: the origin does not know whether they survived.

use std::collections::BTreeMap;

/// What a transaction writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Write {
    /// The end of a rollout without a move.
    Abandonment,
    /// Anything else.
    Other,
}

/// The kinds of transactions of which the next fails, each with whether what it writes survives all the same.
pub(crate) type CommitFailures = BTreeMap<Write, bool>;

/// The outcome of a transaction.
pub(super) enum Commit<T> {
    Made(T),
    /// It has failed, and has survived all the same.
    Survived(T),
    /// It has failed, and nothing was written.
    Lost,
}

impl<T> Commit<T> {
    /// What was written, whether or not the origin knows it.
    pub(super) fn written(self) -> Option<T> {
        match self {
            Self::Made(written) | Self::Survived(written) => Some(written),
            Self::Lost => None,
        }
    }

    /// Whether the origin knows that it was written.
    pub(super) fn is_known(&self) -> bool {
        matches!(self, Self::Made(_))
    }
}
