//! How far one edge is with a release.

use std::fmt;

use crate::output::human;

/// The longest reason shown, in characters.
const REASON_MAX: usize = 200;

/// How far an edge is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum EdgeState {
    /// It has not reported anything of the release yet.
    Waiting,
    /// It fetches what it lacks.
    Fetching { done: u64, total: u64, problem: Option<String> },
    /// It has all that it needs to serve the release.
    Prepared,
    /// It is a canary edge, and serves the release.
    Canary,
    /// It serves the release.
    Live { elapsed_ms: u64 },
    /// The rollout has ended without it.
    Lagging { reason: String, is_away: bool },
}

impl fmt::Display for EdgeState {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Waiting => formatter.write_str("waiting"),
            Self::Fetching { done, total, problem } => {
                match total {
                    0 => formatter.write_str("fetching")?,
                    _ => write!(formatter, "fetching {}", human::bytes_of(*done, *total))?,
                }
                problem.as_deref().map_or(Ok(()), |problem| write!(formatter, ": {}", human::line(problem, REASON_MAX)))
            }
            Self::Prepared => formatter.write_str("prepared"),
            Self::Canary => formatter.write_str("canary"),
            // Older origins do not measure.
            Self::Live { elapsed_ms: 0 } => formatter.write_str("live"),
            Self::Live { elapsed_ms } => write!(formatter, "live in {}", human::milliseconds(*elapsed_ms)),
            Self::Lagging { reason, is_away: false } => {
                write!(formatter, "lagging: {}", human::line(reason, REASON_MAX))
            }
            Self::Lagging { reason, is_away: true } => write!(formatter, "away: {}", human::line(reason, REASON_MAX)),
        }
    }
}

impl EdgeState {
    /// Whether it serves the release.
    pub(super) fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// Whether it could serve the release at least: an edge that serves it was prepared.
    pub(super) fn is_prepared(&self) -> bool {
        matches!(self, Self::Prepared | Self::Canary | Self::Live { .. })
    }

    /// Whether the change is worth a line in a log; bytes are not.
    pub(super) fn is_news_after(&self, before: &Self) -> bool {
        match (self, before) {
            (Self::Fetching { problem, total, .. }, Self::Fetching { problem: before, total: known, .. }) => {
                problem != before || (*total == 0) != (*known == 0)
            }
            (state, before) => state != before,
        }
    }
}
