//! Canaries: edges on which a release goes live first, to be judged by what readers get from it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::EdgeName;
use crate::serde_text::serde_as_text;

/// How a release is tried before it goes live everywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CanaryPlan {
    /// How many edges serve it first.
    pub edges: CanaryShare,
    /// For how many seconds, at most [`CanaryPlan::SECONDS_MAX`].
    pub seconds: u64,
}

impl CanaryPlan {
    /// The default of [`CanaryPlan::seconds`]: long enough for a dozen reports of each edge.
    pub const SECONDS: u64 = 60;
    /// The most seconds of a canary.
    pub const SECONDS_MAX: u64 = 60 * 60;
}

/// A number of edges, as in `2`, or a share of the live ones, as in `5%`: at least one edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CanaryShare {
    /// So many edges.
    Count(u16),
    /// So many of a hundred live edges, rounded up.
    Percent(u8),
}

impl CanaryShare {
    /// The number of edges, if so many are live: at least one.
    pub fn of(self, live: usize) -> usize {
        match self {
            Self::Count(count) => usize::from(count),
            Self::Percent(percent) => (live * usize::from(percent)).div_ceil(100),
        }
        .max(1)
    }
}

/// The text is not a share of edges.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid share of edges `{0}`: expected a number of edges, such as 1, or a share of 1% to 50%, such as 5%")]
pub struct CanaryShareError(String);

impl FromStr for CanaryShare {
    type Err = CanaryShareError;

    fn from_str(text: &str) -> Result<Self, CanaryShareError> {
        let share = match text.strip_suffix('%') {
            Some(percent) => percent.parse().ok().filter(|percent| (1..=50).contains(percent)).map(Self::Percent),
            None => text.parse().ok().filter(|count| *count > 0).map(Self::Count),
        };
        share
            .filter(|_| text.starts_with(|first: char| first.is_ascii_digit()))
            .ok_or_else(|| CanaryShareError(text.to_owned()))
    }
}

impl fmt::Display for CanaryShare {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Count(count) => write!(formatter, "{count}"),
            Self::Percent(percent) => write!(formatter, "{percent}%"),
        }
    }
}

serde_as_text!(CanaryShare);

/// The canary of a release, as part of its rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Canary {
    /// How it is tried.
    pub plan: CanaryPlan,
    /// The edges that serve it once it is on their disk; empty until they are chosen.
    #[serde(default)]
    pub edges: BTreeSet<EdgeName>,
}

/// What readers got from one release: numbers only, nothing about who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResponseCounts {
    /// All responses.
    pub responses: u64,
    /// Those with status 404.
    pub not_found: u64,
    /// Those with a status from 500 to 599.
    pub server_errors: u64,
    /// Those of `not_found` that were requested by a page of the site, as its script or style.
    pub missing_assets: u64,
}

impl std::ops::AddAssign for ResponseCounts {
    fn add_assign(&mut self, other: Self) {
        self.responses = self.responses.saturating_add(other.responses);
        self.not_found = self.not_found.saturating_add(other.not_found);
        self.server_errors = self.server_errors.saturating_add(other.server_errors);
        self.missing_assets = self.missing_assets.saturating_add(other.missing_assets);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_has_one_text_form_and_is_at_least_one_edge() {
        for (text, of_ten, of_forty) in [("1", 1, 1), ("12", 12, 12), ("5%", 1, 2), ("50%", 5, 20)] {
            let share: CanaryShare = text.parse().unwrap();
            assert_eq!(
                (share.to_string(), share.of(10), share.of(40), share.of(0) >= 1),
                (text.to_owned(), of_ten, of_forty, true)
            );
        }
        for bad in ["", "0", "0%", "51%", "-1", "+1", "1.5", "%", "all", "70000"] {
            assert!(bad.parse::<CanaryShare>().is_err(), "{bad}");
        }
    }
}
