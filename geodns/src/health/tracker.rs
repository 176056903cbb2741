//! Whether an address is up, as its probes go.

use std::collections::VecDeque;
use std::time::Duration;

use super::pace::{DOUBLINGS, Pace, RETURN_MEMORY};

/// For how long an address that came up is not relied on.
const SHAKY: Duration = Duration::from_mins(1);

/// One address. It turns only after several outcomes in a row that say so, and the more often it came up lately the more it
/// takes to come up again, so that it changes no more often than [`Pace::most_changes`].
///
/// Times are since the start of whoever asks.
#[derive(Debug, Clone)]
pub(super) struct Tracker {
    pace: Pace,
    state: State,
    /// When it came up, the last few times.
    returns: VecDeque<Duration>,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Up {
        /// In a row, fewer than take it down.
        failures: u32,
    },
    Down {
        /// In a row, fewer than bring it up.
        successes: u32,
    },
}

impl Tracker {
    /// An address that is up or down, with nothing that points to the contrary.
    pub(super) fn new(pace: Pace, up: bool) -> Self {
        let state = if up { State::Up { failures: 0 } } else { State::Down { successes: 0 } };
        Self { pace, state, returns: VecDeque::with_capacity(DOUBLINGS) }
    }

    /// Takes the outcome of a probe that ended at `now`.
    pub(super) fn hear(&mut self, success: bool, now: Duration) {
        self.state = match self.state {
            State::Up { .. } if success => State::Up { failures: 0 },
            State::Up { failures } if failures + 1 < self.pace.down_after.get() => State::Up { failures: failures + 1 },
            State::Up { .. } | State::Down { .. } if !success => State::Down { successes: 0 },
            State::Down { successes } if successes + 1 < self.wanted(now) => State::Down { successes: successes + 1 },
            State::Up { .. } | State::Down { .. } => {
                if self.returns.len() == DOUBLINGS {
                    self.returns.pop_front();
                }
                self.returns.push_back(now);
                State::Up { failures: 0 }
            }
        };
    }

    fn wanted(&self, now: Duration) -> u32 {
        let counts = |at: &&Duration| now.saturating_sub(**at) < RETURN_MEMORY;
        self.pace.wanted(self.returns.iter().filter(counts).count())
    }

    /// Whether readers can be sent to it.
    pub(super) fn is_up(&self) -> bool {
        matches!(self.state, State::Up { .. })
    }

    /// Whether it is up but may soon not be: its last probe failed, or it came up within the last minute.
    pub(super) fn is_shaky(&self, now: Duration) -> bool {
        let came_up = self.returns.back().is_some_and(|at| now.saturating_sub(*at) < SHAKY);
        matches!(self.state, State::Up { failures } if failures > 0 || came_up)
    }

    /// How long to wait before the next probe.
    pub(super) fn wait(&self) -> Duration {
        match self.state {
            State::Up { failures: 0 } | State::Down { successes: 0 } => self.pace.interval,
            State::Up { .. } | State::Down { .. } => self.pace.retry,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What an address is after each of the outcomes, `+` or `-`, a second apart: `U`p, `u`p but shaky, or `d`own; and how it
    /// waits for the next probe, `.` for the interval, `!` for the retry.
    fn course(up: bool, outcomes: &str) -> String {
        let mut tracker = Tracker::new(Pace::default(), up);
        let mut course = String::new();
        for (second, outcome) in (1..).zip(outcomes.chars()) {
            let now = Duration::from_secs(second);
            tracker.hear(outcome == '+', now);
            course.push(match (tracker.is_up(), tracker.is_shaky(now)) {
                (true, false) => 'U',
                (true, true) => 'u',
                (false, _) => 'd',
            });
            course.push(if tracker.wait() == tracker.pace.interval { '.' } else { '!' });
        }
        course
    }

    #[test]
    fn it_turns_after_three_in_a_row() {
        for (up, outcomes, expected) in [
            (true, "+--+--+", "U.u!u!U.u!u!U."),
            (true, "---", "u!u!d."),
            (true, "----++-", "u!u!d.d.d!d!d."),
            (false, "++-+++", "d!d!d.d!d!u."),
            (false, "+++-+", "d!d!u.u!u."),
            // The second time it takes six.
            (false, "+++---+++++-", "d!d!u.u!u!d.d!d!d!d!d!d."),
            (false, "+++---++++++", "d!d!u.u!u!d.d!d!d!d!d!u."),
        ] {
            assert_eq!(course(up, outcomes), expected, "{up} {outcomes}");
        }
    }

    #[test]
    fn a_minute_after_it_came_up_it_is_relied_on() {
        let course = course(false, &"+".repeat(63));
        assert!(course.ends_with("u.U."), "{course}");
        assert_eq!(course.matches('U').count(), 1);
    }

    #[test]
    fn returns_are_forgotten_after_ten_minutes() {
        let mut tracker = Tracker::new(Pace::default(), true);
        let mut wanted = Vec::new();
        let mut now = Duration::ZERO;
        let mut fall_and_return = |tracker: &mut Tracker, pause| {
            now += pause;
            for _ in 0..3 {
                tracker.hear(false, now);
            }
            let mut successes = 0;
            while !tracker.is_up() {
                now += Duration::from_secs(1);
                tracker.hear(true, now);
                successes += 1;
            }
            wanted.push(successes);
        };
        for pause in [0, 9, 9, 9, 9, 9, 300, 590, 600] {
            fall_and_return(&mut tracker, Duration::from_secs(pause));
        }
        assert_eq!(wanted, [3, 6, 12, 24, 48, 48, 48, 6, 3]);
    }

    /// When an address changed, as `outcome` decides (given whether it is up) and probes take as long as it says.
    fn changes(pace: Pace, probes: usize, mut outcome: impl FnMut(usize, bool) -> (bool, Duration)) -> Vec<Duration> {
        let mut tracker = Tracker::new(pace, true);
        let (mut now, mut changes) = (Duration::ZERO, Vec::new());
        for probe in 0..probes {
            let up = tracker.is_up();
            let (success, took) = outcome(probe, up);
            now += tracker.wait() + took;
            tracker.hear(success, now);
            if tracker.is_up() != up {
                changes.push(now);
            }
        }
        changes
    }

    fn most_within(changes: &[Duration], window: Duration) -> u64 {
        let within = |from: usize| changes[from..].iter().take_while(|at| **at < changes[from] + window).count();
        (0..changes.len()).map(within).max().unwrap_or(0) as u64
    }

    #[test]
    fn one_that_falls_as_soon_as_it_is_up_comes_close_to_the_bound() {
        let pace = Pace::default();
        let changes = changes(pace, 3_000, |_, up| (!up, Duration::ZERO));
        let window = Duration::from_mins(10);
        let most = most_within(&changes, window);
        assert!((pace.most_changes(window) - 1..=pace.most_changes(window)).contains(&most), "{most}");
    }

    proptest! {
        /// Whatever probes find and however long they take, an address changes no more often than is promised: in windows of
        /// any length, also for an adversary that mostly answers contrary to what it is taken for.
        #[test]
        fn changes_are_bounded(
            outcomes in prop::collection::vec((any::<bool>(), 0..10_u8, 0..1_500_u64), 1..1_000),
            contrary in 0..10_u8,
            window in 1..2_000_u64,
            (interval, retry, down_after, up_after) in (1..10_u64, 1..10_u64, 1..5_u32, 1..5_u32),
        ) {
            let pace = Pace {
                interval: Duration::from_secs(interval),
                retry: Duration::from_secs(retry),
                down_after: down_after.try_into().unwrap(),
                up_after: up_after.try_into().unwrap(),
                ..Pace::default()
            };
            let changes = changes(pace, outcomes.len(), |probe, up| {
                let (success, mood, millis) = outcomes[probe];
                if mood < contrary { (!up, Duration::ZERO) } else { (success, Duration::from_millis(millis)) }
            });
            let window = Duration::from_secs(window);
            prop_assert!(most_within(&changes, window) <= pace.most_changes(window));
        }

        /// Fewer failures in a row than it takes never take it down.
        #[test]
        fn lone_failures_change_nothing(runs in prop::collection::vec((0..3_usize, 1..4_usize), 0..50)) {
            let outcomes = runs.iter().flat_map(|(bad, good)| ["-".repeat(*bad), "+".repeat(*good)]);
            prop_assert!(!course(true, &outcomes.collect::<String>()).contains('d'));
        }
    }
}
