//! Which edges lag behind the rest of the fleet.
//!
//! Lag is relative to the fleet, never to the origin: no edge lags when all stand still. The *threshold* is what the best address had
//! [`lag_after`](super::HealthConfig::lag_after) ago; an edge that has not reached it by now lags. Edges that are cut off lag too, before
//! anything passes them by: see [`contact`](super::contact).

use std::collections::VecDeque;
use std::time::Duration;

use verge_protocol::Position;

/// The best position over time, among the addresses that are up.
///
/// A position of a later generation is better, whatever its number: after a restore of the origin, an edge that still follows the
/// old history lags. Times are since the start of the daemon, rounded up to the second: the threshold rises up to a second late,
/// never early, and at most one position per second is stored.
#[derive(Debug, Clone)]
pub(super) struct LagThreshold {
    after: Duration,
    current: Option<Position>,
    /// The best position as of each second in which it changed, oldest first, until it becomes the threshold.
    upcoming: VecDeque<(u64, Position)>,
}

impl LagThreshold {
    /// Starts from a saved threshold.
    pub(super) fn new(after: Duration, saved: Option<Position>) -> Self {
        Self { after, current: saved, upcoming: VecDeque::new() }
    }

    /// Records the best position at `now`. Without one, nothing is recorded, and what was recorded remains.
    pub(super) fn record(&mut self, best: Option<Position>, now: Duration) {
        let Some(best) = best else { return };
        let second = u64::try_from(now.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
        match self.upcoming.back_mut() {
            Some((at, position)) if *at == second => *position = best,
            Some((_, position)) if *position == best => {}
            None if self.current == Some(best) => {}
            Some(_) | None => self.upcoming.push_back((second, best)),
        }
    }

    /// The threshold at `now`; `None` until an edge has had a position for long enough.
    pub(super) fn threshold(&mut self, now: Duration) -> Option<Position> {
        while let Some((at, position)) = self.upcoming.front().copied() {
            if Duration::from_secs(at).saturating_add(self.after) > now {
                break;
            }
            self.current = Some(position);
            self.upcoming.pop_front();
        }
        self.current
    }
}

/// Whether an address lags that reported `position` (or none yet) when the threshold was `threshold`, now that the best position
/// is `best`. An address at the best position never lags, and none lags when no address has a position.
///
/// The threshold is the one at the time of the report: an address is not to blame for not having been probed since.
pub(super) fn is_behind(position: Option<Position>, threshold: Option<Position>, best: Option<Position>) -> bool {
    // `None` is less than any position.
    position < threshold.min(best)
}

/// The same for the position without what the edge cannot get. One that does not say it is judged by its position alone.
pub(super) fn is_behind_in_obtainable(
    obtainable: Option<Position>,
    threshold: Option<Position>,
    best: Option<Position>,
) -> bool {
    obtainable.is_some() && is_behind(obtainable, threshold, best)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    #[expect(clippy::unnecessary_wraps, reason = "the functions under test take optional positions")]
    fn at(text: &str) -> Option<Position> {
        Some(text.parse().unwrap())
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn threshold_is_the_best_position_of_30_seconds_ago() {
        let mut lag = LagThreshold::new(AFTER, None);
        for (second, best) in [(0.5, "1-5"), (0.9, "1-6"), (3.0, "1-6"), (10.0, "1-7"), (20.2, "2-1")] {
            lag.record(at(best), seconds(second));
        }
        for (second, threshold) in
            [(30.9, None), (31.0, at("1-6")), (39.9, at("1-6")), (40.0, at("1-7")), (51.0, at("2-1"))]
        {
            assert_eq!(lag.threshold(seconds(second)), threshold, "{second}");
        }
        assert_eq!(lag.threshold(seconds(9e9)), at("2-1"));
    }

    #[test]
    fn silence_and_restart_keep_the_threshold() {
        let mut lag = LagThreshold::new(AFTER, at("1-5"));
        lag.record(None, seconds(1.0));
        assert_eq!(lag.threshold(seconds(100.0)), at("1-5"));
        lag.record(at("1-9"), seconds(101.0));
        assert_eq!((lag.threshold(seconds(130.0)), lag.threshold(seconds(131.0))), (at("1-5"), at("1-9")));
    }

    #[test]
    fn address_lags_below_both_the_threshold_and_the_best_position() {
        for (position, threshold, best, behind) in [
            (at("1-5"), at("1-6"), at("1-9"), true),
            (at("1-6"), at("1-6"), at("1-9"), false),
            // An older generation, and a later one.
            (at("1-900"), at("2-1"), at("2-1"), true),
            (at("2-1"), at("1-900"), at("2-1"), false),
            // It has no position; the others do, do not yet, or no longer do.
            (None, at("1-6"), at("1-6"), true),
            (None, None, at("1-6"), false),
            (None, at("1-6"), None, false),
            // The edge that was ahead is down.
            (at("1-5"), at("1-6"), at("1-5"), false),
        ] {
            assert_eq!(is_behind(position, threshold, best), behind, "{position:?} {threshold:?} {best:?}");
        }
    }

    #[test]
    fn address_that_does_not_say_what_it_can_get_is_not_judged_by_it() {
        for (obtainable, behind) in [(at("1-5"), true), (at("1-6"), false), (None, false)] {
            assert_eq!(is_behind_in_obtainable(obtainable, at("1-6"), at("1-9")), behind, "{obtainable:?}");
        }
    }

    proptest! {
        /// The threshold is a best position from between `AFTER` and a second more ago; and the queue is bounded.
        #[test]
        fn threshold_is_never_early_and_at_most_a_second_late(
            steps in prop::collection::vec((0..4_000_u64, prop_oneof![8 => 0..3_u64, 1 => Just(1_000)]), 1..200),
        ) {
            let mut lag = LagThreshold::new(AFTER, None);
            let (mut now, mut seq) = (Duration::ZERO, 1);
            let mut history: Vec<(Duration, Option<Position>)> = vec![(Duration::ZERO, None)];
            for (millis, step) in steps {
                now += Duration::from_millis(millis);
                // A thousand: the best edge goes down, and a lower position is the best.
                seq = if step == 1_000 { (seq / 2).max(1) } else { seq + step };
                let best = at(&format!("1-{seq}"));
                lag.record(best, now);
                history.push((now, best));
                let threshold = lag.threshold(now);
                let was = |ago: Duration| {
                    let then = now.checked_sub(ago);
                    history.iter().rposition(|(at, _)| then.is_some_and(|then| *at <= then)).unwrap_or(0)
                };
                let candidates = &history[was(AFTER + Duration::from_secs(1))..=was(AFTER)];
                prop_assert!(candidates.iter().any(|(_, best)| *best == threshold), "{threshold:?} {candidates:?}");
                prop_assert!(lag.upcoming.len() <= 32, "{}", lag.upcoming.len());
            }
        }
    }
}
