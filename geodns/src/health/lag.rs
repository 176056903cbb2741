//! Who is behind the rest of the fleet.
//!
//! The measure is the fleet itself, never the origin: nobody is behind when all stand still. The *bar* is the position that the
//! best address had [`lag_after`](super::HealthConfig::lag_after) ago; who has not reached it by now is behind.

use std::collections::VecDeque;
use std::time::Duration;

use verge_protocol::Position;

/// The best position that an address which is up had, over time.
///
/// A position of a later generation is the better one, whatever its number: after the origin was restored, who still follows
/// the old history is behind. Times are since the start of whoever asks, and rounded up to the second: the bar rises up to a
/// second late, never early, and at most one position a second is remembered.
#[derive(Debug, Clone)]
pub(super) struct Lag {
    after: Duration,
    bar: Option<Position>,
    /// The best as of each second at which it changed, oldest first; not yet the bar.
    since: VecDeque<(u64, Position)>,
}

impl Lag {
    /// Starts from the bar that was.
    pub(super) fn new(after: Duration, bar: Option<Position>) -> Self {
        Self { after, bar, since: VecDeque::new() }
    }

    /// The best position at `now`. Without one nothing is noted: what was remembered stays, for when somebody is heard again.
    pub(super) fn note(&mut self, best: Option<Position>, now: Duration) {
        let Some(best) = best else { return };
        let second = u64::try_from(now.as_nanos().div_ceil(1_000_000_000)).unwrap_or(u64::MAX);
        match self.since.back_mut() {
            Some((at, position)) if *at == second => *position = best,
            Some((_, position)) if *position == best => {}
            None if self.bar == Some(best) => {}
            Some(_) | None => self.since.push_back((second, best)),
        }
    }

    /// What everybody should have at `now`; `None` until somebody has had something for long enough.
    pub(super) fn bar(&mut self, now: Duration) -> Option<Position> {
        while let Some((at, position)) = self.since.front().copied() {
            if Duration::from_secs(at).saturating_add(self.after) > now {
                break;
            }
            self.bar = Some(position);
            self.since.pop_front();
        }
        self.bar
    }
}

/// Whether an address that said it was at `position` (or nowhere yet) when the bar was at `bar` is behind, now that the best of
/// those that are up is at `best`. The best never is; nor is anybody when nobody has a position.
///
/// The bar is the one of when the address was last heard: that it was not asked since is no fault of its own.
pub(super) fn is_behind(position: Option<Position>, bar: Option<Position>, best: Option<Position>) -> bool {
    // Nothing is less than any position.
    position < bar.min(best)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const AFTER: Duration = Duration::from_secs(30);

    #[expect(clippy::unnecessary_wraps, reason = "every position here is one that may not be there")]
    fn at(text: &str) -> Option<Position> {
        Some(text.parse().unwrap())
    }

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn the_bar_is_what_the_best_had() {
        let mut lag = Lag::new(AFTER, None);
        for (second, best) in [(0.5, "1-5"), (0.9, "1-6"), (3.0, "1-6"), (10.0, "1-7"), (20.2, "2-1")] {
            lag.note(at(best), seconds(second));
        }
        for (second, bar) in [(30.9, None), (31.0, at("1-6")), (39.9, at("1-6")), (40.0, at("1-7")), (51.0, at("2-1"))]
        {
            assert_eq!(lag.bar(seconds(second)), bar, "{second}");
        }
        assert_eq!(lag.bar(seconds(9e9)), at("2-1"));
    }

    #[test]
    fn silence_and_a_restart_keep_the_bar() {
        let mut lag = Lag::new(AFTER, at("1-5"));
        lag.note(None, seconds(1.0));
        assert_eq!(lag.bar(seconds(100.0)), at("1-5"));
        lag.note(at("1-9"), seconds(101.0));
        assert_eq!((lag.bar(seconds(130.0)), lag.bar(seconds(131.0))), (at("1-5"), at("1-9")));
    }

    #[test]
    fn behind_is_below_the_bar_and_below_the_best() {
        for (position, bar, best, behind) in [
            (at("1-5"), at("1-6"), at("1-9"), true),
            (at("1-6"), at("1-6"), at("1-9"), false),
            // An older history, and a later one.
            (at("1-900"), at("2-1"), at("2-1"), true),
            (at("2-1"), at("1-900"), at("2-1"), false),
            // It has nothing; the others do, do not yet, or do no more.
            (None, at("1-6"), at("1-6"), true),
            (None, None, at("1-6"), false),
            (None, at("1-6"), None, false),
            // Who was ahead is no longer up.
            (at("1-5"), at("1-6"), at("1-5"), false),
        ] {
            assert_eq!(is_behind(position, bar, best), behind, "{position:?} {bar:?} {best:?}");
        }
    }

    proptest! {
        /// The bar is what the best was somewhere between `AFTER` and a second more ago; and what is remembered is bounded.
        #[test]
        fn the_bar_is_never_early_and_at_most_a_second_late(
            steps in prop::collection::vec((0..4_000_u64, prop_oneof![8 => 0..3_u64, 1 => Just(1_000)]), 1..200),
        ) {
            let mut lag = Lag::new(AFTER, None);
            let (mut now, mut seq) = (Duration::ZERO, 1);
            let mut history: Vec<(Duration, Option<Position>)> = vec![(Duration::ZERO, None)];
            for (millis, step) in steps {
                now += Duration::from_millis(millis);
                // A thousand is the best going away: what remains is behind it.
                seq = if step == 1_000 { (seq / 2).max(1) } else { seq + step };
                let best = at(&format!("1-{seq}"));
                lag.note(best, now);
                history.push((now, best));
                let bar = lag.bar(now);
                let was = |ago: Duration| {
                    let then = now.checked_sub(ago);
                    history.iter().rposition(|(at, _)| then.is_some_and(|then| *at <= then)).unwrap_or(0)
                };
                let candidates = &history[was(AFTER + Duration::from_secs(1))..=was(AFTER)];
                prop_assert!(candidates.iter().any(|(_, best)| *best == bar), "{bar:?} {candidates:?}");
                prop_assert!(lag.since.len() <= 32, "{}", lag.since.len());
            }
        }
    }
}
