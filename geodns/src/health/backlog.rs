//! Who cannot fetch what the rest of the fleet could.
//!
//! An edge's position says what it was told; what it could not fetch yet it counts as pending. The measure is the fleet itself
//! here too: a release that nobody can fetch puts nobody behind.

use std::time::Duration;

/// For how long an address has had more pending than another that is as far. Times are since the start of whoever asks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backlog {
    since: Option<Duration>,
    lasting: bool,
}

impl Backlog {
    /// The address says at `now` that it has `pending`, when of those that are up and at least as far one has as few as `fewest`.
    #[must_use]
    pub(super) fn hear(self, pending: usize, fewest: Option<usize>, after: Duration, now: Duration) -> Self {
        if fewest.is_none_or(|fewest| pending <= fewest) {
            return Self::default();
        }
        let since = self.since.unwrap_or(now);
        Self { since: Some(since), lasting: now.saturating_sub(since) >= after }
    }

    /// Whether that was so, each time the address was heard, for as long as an edge may take.
    pub(super) fn is_lasting(self) -> bool {
        self.lasting
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_than_others_for_long_is_a_backlog() {
        let mut backlog = Backlog::default();
        for (second, pending, fewest, lasting) in [
            (0, 1, Some(0), false),
            (29, 1, Some(0), false),
            (30, 1, Some(0), true),
            // Others have as many.
            (35, 1, Some(1), false),
            (40, 2, Some(1), false),
            (69, 1, Some(0), false),
            (70, 5, Some(4), true),
            // Nobody else is that far.
            (71, 5, None, false),
        ] {
            backlog = backlog.hear(pending, fewest, Duration::from_secs(30), Duration::from_secs(second));
            assert_eq!(backlog.is_lasting(), lasting, "{second}");
        }
    }
}
